#include "engine/ops/pool2d.h"

#include "engine/core/dispatch.h"
#include "kernels/pool2d.h"

namespace lookalike {
namespace {

Pool2dParams make_params(const char* op, const Variable& x, int64_t size, int64_t stride, int64_t padding) {
  const Shape& shape = x.shape();
  check(shape.rank() == 4 && shape[1] >= 1 && shape[2] >= 1,
        "{}: x is {}, expected [N, H, W, C] with at least one position", op, shape);
  check(size >= 1 && size <= 16, "{}: size is {}, expected 1 to 16", op, size);
  check(stride >= 0, "{}: stride is {}, expected at least 1, or 0 for the size", op, stride);
  check(padding >= 0 && padding < size, "{}: padding is {}, expected 0 to size - 1 = {}", op, padding, size - 1);
  check(size <= shape[1] + 2 * padding && size <= shape[2] + 2 * padding,
        "{}: a {}x{} window does not fit into x {} with padding {}", op, size, size, shape, padding);
  check_gpu_size(op, shape, x.device());
  return {.images = shape[0],
          .height = shape[1],
          .width = shape[2],
          .channels = shape[3],
          .size = size,
          .stride = stride ? stride : size,
          .padding = padding};
}

Shape out_shape(const Pool2dParams& p) {
  return {p.images, p.out_height(), p.out_width(), p.channels};
}

void check_global(const char* op, const Variable& x) {
  check(x.shape().rank() == 4 && x.shape()[1] * x.shape()[2] > 0,
        "{}: x is {}, expected [N, H, W, C] with at least one position", op, x.shape());
  check_gpu_size(op, x.shape(), x.device());
}

}  // namespace

Variable max_pool2d(const Variable& x, int64_t size, int64_t stride, int64_t padding) {
  const Pool2dParams p = make_params("max_pool2d", x, size, stride, padding);
  Tensor y(out_shape(p), x.dtype(), x.device()), argmax;
  if (will_record({x})) argmax = Tensor(y.shape(), DType::u8, x.device());
  LOOKALIKE_ON_DEVICE(x, {
    on::max_pool2d_forward(p, x.value().data<T>(), y.data<T>(), argmax.defined() ? argmax.data<uint8_t>() : nullptr,
                           stream...);
  });
  return Variable::from_op(y, {x}, [p, argmax, shape = x.shape()](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx(shape, dy.dtype(), dy.device());
    LOOKALIKE_ON_DEVICE(dy,
                        { on::max_pool2d_backward(p, dy.data<T>(), argmax.data<uint8_t>(), dx.data<T>(), stream...); });
    return {dx};
  });
}

Variable avg_pool2d(const Variable& x, int64_t size, int64_t stride) {
  const Pool2dParams p = make_params("avg_pool2d", x, size, stride, 0);
  Tensor y(out_shape(p), x.dtype(), x.device());
  LOOKALIKE_ON_DEVICE(x, { on::avg_pool2d_forward(p, x.value().data<T>(), y.data<T>(), stream...); });
  return Variable::from_op(y, {x}, [p, shape = x.shape()](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx(shape, dy.dtype(), dy.device());
    LOOKALIKE_ON_DEVICE(dy, { on::avg_pool2d_backward(p, dy.data<T>(), dx.data<T>(), stream...); });
    return {dx};
  });
}

Variable global_max_pool(const Variable& x) {
  check_global("global_max_pool", x);
  const Shape& shape = x.shape();
  Tensor y({shape[0], shape[3]}, x.dtype(), x.device()), argmax(y.shape(), DType::i32, x.device());
  LOOKALIKE_ON_DEVICE(x, {
    on::global_max_pool_forward(shape[0], shape[1] * shape[2], shape[3], x.value().data<T>(), y.data<T>(),
                                argmax.data<int32_t>(), stream...);
  });
  return Variable::from_op(y, {x}, [argmax, shape](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx(shape, dy.dtype(), dy.device());
    LOOKALIKE_ON_DEVICE(dy, {
      on::global_max_pool_backward(shape[0], shape[1] * shape[2], shape[3], dy.data<T>(), argmax.data<int32_t>(),
                                   dx.data<T>(), stream...);
    });
    return {dx};
  });
}

Variable global_avg_pool(const Variable& x) {
  check_global("global_avg_pool", x);
  const Shape& shape = x.shape();
  Tensor y({shape[0], shape[3]}, x.dtype(), x.device());
  LOOKALIKE_ON_DEVICE(x, {
    on::global_avg_pool_forward(shape[0], shape[1] * shape[2], shape[3], x.value().data<T>(), y.data<T>(), stream...);
  });
  return Variable::from_op(y, {x}, [shape](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx(shape, dy.dtype(), dy.device());
    LOOKALIKE_ON_DEVICE(dy, {
      on::global_avg_pool_backward(shape[0], shape[1] * shape[2], shape[3], dy.data<T>(), dx.data<T>(), stream...);
    });
    return {dx};
  });
}

}  // namespace lookalike
