#include "engine/ops/l2_normalize.h"

#include "kernels/l2_normalize.h"

namespace lookalike {

Variable l2_normalize(const Variable& x, double eps) {
  check(x.shape().rank() == 2, "l2_normalize of shape {}, expected [N, D]", x.shape().to_string());
  const int64_t rows = x.shape()[0], d = x.shape()[1];
  Tensor y(x.shape(), x.dtype()), scale({rows}, x.dtype());
  with_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    cpu::l2_normalize_forward(x.value().data<T>(), rows, d, eps, y.data<T>(), scale.data<T>());
  });
  return Variable::from_op(y, {x}, [=](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx(y.shape(), y.dtype());
    with_float(y.dtype(), [&](auto zero) {
      using T = decltype(zero);
      cpu::l2_normalize_backward(y.data<T>(), scale.data<T>(), dy.data<T>(), rows, d, dx.data<T>());
    });
    return {dx};
  });
}

}  // namespace lookalike
