#include "engine/nn/layers.h"

#include <cmath>

#include <doctest/doctest.h>

#include "tests/op_case.h"

namespace lookalike::testing {

TEST_CASE("a transposed convolution doubles an image and starts like PyTorch's") {
  Initializer init(1);
  ConvTranspose2d layer(init, 48, 5, 3, {.stride = 2, .padding = 1, .output_padding = 1});
  NetworkState state;
  layer.collect("up1.", state);
  REQUIRE(state.parameters.size() == 2);
  CHECK(state.parameters[0].name == "up1.weight");
  CHECK(state.parameters[0].decay);
  CHECK(state.parameters[1].name == "up1.bias");
  CHECK(!state.parameters[1].decay);
  const Variable weight = state.parameters[0].variable, bias = state.parameters[1].variable;
  CHECK(weight.shape() == Shape{48, 3, 3, 5});
  double largest = 0;
  for (const float w : weight.value().span<float>()) largest = std::max<double>(largest, std::abs(w));
  CHECK(largest == doctest::Approx(1 / std::sqrt(9. * 5)).epsilon(0.01));

  const Variable x(random_tensor({2, 4, 7, 48}, DType::f32));
  const Variable y = layer.forward(x, {});
  CHECK(y.shape() == Shape{2, 8, 14, 5});
  const Variable same = conv_transpose2d(x, weight, bias, {.stride = 2, .padding = 1, .output_padding = 1});
  CHECK(relative_error(y.value(), same.value()) == 0);
}

TEST_CASE("a transposed convolution names the sizes that do not fit") {
  const Variable x(Tensor::zeros({1, 2, 2, 3})), w(Tensor::zeros({3, 2, 2, 4}));
  const auto run = [&](const Variable& weights, const ConvTranspose2dOptions& options, const Variable& bias = {}) {
    return conv_transpose2d(x, weights, bias, options);
  };
  CHECK_THROWS_WITH(run(Variable(Tensor::zeros({4, 2, 2, 3})), {}),
                    "conv_transpose2d: images [1, 2, 2, 3] and weights [4, 2, 2, 3], expected [N,H,W,C] and [C,R,S,K]");
  CHECK_THROWS_WITH(run(w, {}, Variable(Tensor::zeros({3}))), "conv_transpose2d: bias [3], expected [4]");
  CHECK_THROWS_WITH(run(w, {.stride = 2, .output_padding = 2}),
                    "conv_transpose2d: stride 2, padding 0, output_padding 2, expected an output_padding from -1 to 1");
  CHECK_THROWS_WITH(run(w, {.stride = 1, .padding = 2}),
                    "conv_transpose2d: nothing is left of image [1, 2, 2, 3], kernel [3, 2, 2, 4], with padding 2 and "
                    "output_padding 0");
}

}  // namespace lookalike::testing
