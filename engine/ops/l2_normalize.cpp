#include "engine/ops/l2_normalize.h"

#include "engine/core/dispatch.h"
#include "kernels/l2_normalize.h"

namespace lookalike {

Variable l2_normalize(const Variable& x, double eps) {
  check(x.shape().rank() == 2, "l2_normalize of shape {}, expected [N, D]", x.shape());
  const int64_t rows = x.shape()[0], d = x.shape()[1];
  const DType type = weight_type(x.dtype());
  Tensor y(x.shape(), type, x.device()), scale({rows}, type, x.device());
  LOOKALIKE_ON_DEVICE(
      x, { on::l2_normalize_forward(x.value().data<T>(), rows, d, eps, y.data<W>(), scale.data<W>(), stream...); });
  return Variable::from_op(y, {x}, [=, from = x.dtype()](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx(y.shape(), from, y.device());
    LOOKALIKE_ON_DEVICE(dx, {
      on::l2_normalize_backward(y.data<W>(), scale.data<W>(), dy.data<W>(), rows, d, dx.data<T>(), stream...);
    });
    return {dx};
  });
}

}  // namespace lookalike
