#include "engine/ops/activation.h"

namespace lookalike {

Variable activation(const Variable& x, const Activation& f) {
  if (f.kind == ActivationKind::none) return x;
  Tensor y(x.shape(), x.dtype());
  with_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    cpu::activation_forward(f, x.value().data<T>(), y.data<T>(), y.size());
  });
  return Variable::from_op(y, {x}, [y, f](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx(y.shape(), y.dtype());
    with_float(y.dtype(), [&](auto zero) {
      using T = decltype(zero);
      cpu::activation_backward(f, y.data<T>(), dy.data<T>(), dx.data<T>(), y.size());
    });
    return {dx};
  });
}

}  // namespace lookalike
