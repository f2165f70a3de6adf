#include "engine/ops/add.h"

#include "engine/core/dispatch.h"
#include "kernels/add.h"

namespace lookalike {

Variable add(const Variable& a, const Variable& b, const Activation& f) {
  check(a.shape() == b.shape() && a.dtype() == b.dtype(), "add: a is {} {}, b is {} {}, expected the same",
        name_of(a.dtype()), a.shape(), name_of(b.dtype()), b.shape());
  Tensor y(a.shape(), a.dtype(), a.device());
  LOOKALIKE_ON_DEVICE(
      y, { on::add_forward(f, a.value().data<T>(), b.value().data<T>(), y.data<T>(), y.size(), stream...); });
  return Variable::from_op(y, {a, b}, [y, f](const Tensor& dy) -> std::vector<Tensor> {
    if (f.kind == ActivationKind::none) return {dy, dy};
    Tensor dx(y.shape(), y.dtype(), y.device());
    LOOKALIKE_ON_DEVICE(y,
                        { on::activation_backward(f, y.data<T>(), dy.data<T>(), dx.data<T>(), y.size(), stream...); });
    return {dx, dx};
  });
}

}  // namespace lookalike
