#include "engine/losses/loss.h"

#include "engine/losses/detail.h"
#include "kernels/parallel.h"

namespace lookalike {

LossResult detail::finish(const Variable& e, double loss, const Tensor& de, const LossStats& stats) {
  Tensor value(Shape{}, e.dtype());
  value.fill(loss);
  return {Variable::from_op(value, {e},
                            [de](const Tensor& dy) -> std::vector<Tensor> {
                              Tensor scaled(de.shape(), de.dtype());
                              with_float(de.dtype(), [&](auto zero) {
                                using T = decltype(zero);
                                const T factor = *dy.data<T>();
                                const T* from = de.data<T>();
                                T* to = scaled.data<T>();
                                cpu::vector_for(de.size(), [=](int64_t i) { to[i] = factor * from[i]; });
                              });
                              return {scaled};
                            }),
          stats};
}

}  // namespace lookalike
