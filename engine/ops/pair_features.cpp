#include "engine/ops/pair_features.h"

#include "engine/core/dispatch.h"

namespace lookalike {

Variable pair_features(const Variable& a, const Variable& b, PairFeatures kind) {
  check(a.shape().rank() == 2 && a.shape() == b.shape() && a.dtype() == b.dtype(),
        "pair_features: a is {} {}, b is {} {}, expected the same [N, D]", name_of(a.dtype()), a.shape(),
        name_of(b.dtype()), b.shape());
  const int64_t n = a.shape()[0], d = a.shape()[1];
  const Shape shape{n, kind == PairFeatures::both ? 2 * d : d};
  check_gpu_size("pair_features", shape, a.device());
  Tensor y(shape, a.dtype(), a.device());
  LOOKALIKE_ON_DEVICE(
      y, { on::pair_features_forward(kind, a.value().data<T>(), b.value().data<T>(), n, d, y.data<T>(), stream...); });
  return Variable::from_op(y, {a, b},
                           [a = a.value(), b = b.value(), kind, n, d](const Tensor& dy) -> std::vector<Tensor> {
                             Tensor da(a.shape(), a.dtype(), a.device()), db(a.shape(), a.dtype(), a.device());
                             LOOKALIKE_ON_DEVICE(dy, {
                               on::pair_features_backward(kind, a.data<T>(), b.data<T>(), dy.data<T>(), n, d,
                                                          da.data<T>(), db.data<T>(), stream...);
                             });
                             return {da, db};
                           });
}

}  // namespace lookalike
