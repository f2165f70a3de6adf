#include "engine/ops/linear.h"

#include "engine/ops/conv2d.h"

namespace lookalike {

// A linear layer is a 1x1 convolution over images of one pixel.
Variable linear(const Variable& x, const Variable& w, const Variable& bias, const Activation& activation) {
  check(x.shape().rank() == 2 && w.shape().rank() == 2 && x.shape()[1] == w.shape()[1],
        "linear: input {} and weights {}, expected [N,in] and [out,in]", x.shape().to_string(), w.shape().to_string());
  const auto reshape = [](const Variable& v, const Shape& shape) {
    return Variable::from_op(v.value().reshape(shape), {v}, [before = v.shape()](const Tensor& dy) {
      return std::vector<Tensor>{dy.reshape(before)};
    });
  };
  const auto as_image = [&](const Variable& v) { return reshape(v, {v.shape()[0], 1, 1, v.shape()[1]}); };
  const Variable y = conv2d(as_image(x), as_image(w), bias, {.activation = activation});
  return reshape(y, {y.shape()[0], y.shape()[3]});
}

}  // namespace lookalike
