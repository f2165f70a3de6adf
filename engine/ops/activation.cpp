#include "engine/ops/activation.h"

#include "engine/core/dispatch.h"

namespace lookalike {

Variable activation(const Variable& x, const Activation& f) {
  if (f.kind == ActivationKind::none) return x;
  Tensor y(x.shape(), x.dtype(), x.device());
  LOOKALIKE_ON_DEVICE(y, { on::activation_forward(f, x.value().data<T>(), y.data<T>(), y.size(), stream...); });
  return Variable::from_op(y, {x}, [y, f](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx(y.shape(), y.dtype(), y.device());
    LOOKALIKE_ON_DEVICE(y,
                        { on::activation_backward(f, y.data<T>(), dy.data<T>(), dx.data<T>(), y.size(), stream...); });
    return {dx};
  });
}

}  // namespace lookalike
