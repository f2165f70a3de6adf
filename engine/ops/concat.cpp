#include "engine/ops/concat.h"

#include "engine/core/dispatch.h"
#include "kernels/concat.h"

namespace lookalike {

Variable concat_channels(const Variable& a, const Variable& b) {
  check(a.shape().rank() > 0 && b.shape().rank() > 0, "concat_channels: {} and {}, expected channels", a.shape(),
        b.shape());
  std::vector<int64_t> sizes = a.shape().extents(), others = b.shape().extents();
  const int64_t of_a = sizes.back(), of_b = others.back();
  sizes.pop_back(), others.pop_back();
  check(sizes == others && a.dtype() == b.dtype(),
        "concat_channels: {} {} and {} {}, expected them alike but for the last size", name_of(a.dtype()), a.shape(),
        name_of(b.dtype()), b.shape());
  const int64_t rows = Shape(sizes).size();
  sizes.push_back(of_a + of_b);
  Tensor y(Shape(sizes), a.dtype(), a.device());
  check_gpu_size("concat_channels", y.shape(), a.device());
  LOOKALIKE_ON_DEVICE(y, {
    on::concat_forward<T>(rows, of_a, of_b, a.value().data<T>(), b.value().data<T>(), y.data<T>(), stream...);
  });
  return Variable::from_op(y, {a, b}, [=](const Tensor& dy) {
    std::vector<Tensor> grads(2);
    if (a.requires_grad()) grads[0] = Tensor(a.shape(), dy.dtype(), dy.device());
    if (b.requires_grad()) grads[1] = Tensor(b.shape(), dy.dtype(), dy.device());
    LOOKALIKE_ON_DEVICE(dy, {
      on::concat_backward<T>(rows, of_a, of_b, dy.data<T>(), grads[0].defined() ? grads[0].data<T>() : nullptr,
                             grads[1].defined() ? grads[1].data<T>() : nullptr, stream...);
    });
    return grads;
  });
}

}  // namespace lookalike
