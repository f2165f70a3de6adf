#include "engine/ops/add.h"

#include "kernels/add.h"

namespace lookalike {

Variable add(const Variable& a, const Variable& b) {
  check(a.shape() == b.shape() && a.dtype() == b.dtype(), "add: a is {} {}, b is {} {}, expected the same",
        name_of(a.dtype()), a.shape().to_string(), name_of(b.dtype()), b.shape().to_string());
  Tensor y(a.shape(), a.dtype());
  with_float(a.dtype(), [&](auto zero) {
    using T = decltype(zero);
    cpu::add_forward(a.value().data<T>(), b.value().data<T>(), y.data<T>(), y.size());
  });
  return Variable::from_op(y, {a, b}, [](const Tensor& dy) -> std::vector<Tensor> { return {dy, dy}; });
}

}  // namespace lookalike
