#include "engine/ops/linear.h"

#include "engine/ops/conv2d.h"

namespace lookalike {

// A linear layer is a 1x1 convolution over images of one pixel.
Variable linear(const Variable& x, const Variable& w, const Variable& bias, const Activation& activation) {
  check(x.shape().rank() == 2 && w.shape().rank() == 2 && x.shape()[1] == w.shape()[1],
        "linear: input {} and weights {}, expected [N,in] and [out,in]", x.shape().to_string(), w.shape().to_string());
  const auto as_image = [](const Variable& v) {
    return Variable::from_op(v.value().reshape({v.shape()[0], 1, 1, v.shape()[1]}), {v},
                             [](const Tensor& dy) { return std::vector<Tensor>{dy}; });
  };
  const Variable y = conv2d(as_image(x), as_image(w), bias, {.activation = activation});
  return Variable::from_op(y.value().reshape({y.shape()[0], y.shape()[3]}), {y},
                           [](const Tensor& dy) { return std::vector<Tensor>{dy}; });
}

}  // namespace lookalike
