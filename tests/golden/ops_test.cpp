#include "engine/ops/activation.h"
#include "engine/ops/add.h"
#include "engine/ops/batch_norm.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/conv_transpose2d.h"
#include "engine/ops/gather_rows.h"
#include "engine/ops/l2_normalize.h"
#include "engine/ops/linear.h"
#include "engine/ops/pair_features.h"
#include "engine/ops/pool2d.h"
#include "tests/golden/golden.h"

namespace lookalike::testing {
namespace {

using Inputs = std::vector<Variable>;

TEST_CASE("convolution gives PyTorch's values") {
  const TensorFile file = read_golden("ops");
  const auto conv = [](const Conv2dOptions& options) {
    return [options](const Inputs& in) { return conv2d(in[0], in[1], in.size() > 2 ? in[2] : Variable(), options); };
  };
  check_golden(file, "conv2d_5x5", {"x", "weight", "bias"}, conv({.padding = 2}));
  check_golden(file, "conv2d_3x3", {"x", "weight"}, conv({.padding = 1}));
  check_golden(file, "conv2d_stride", {"x", "weight", "bias"}, conv({.stride = 2, .padding = 1}));
  check_golden(file, "conv2d_4x2", {"x", "weight", "bias"}, conv({.stride = 3, .padding = 1}));
  check_golden(file, "conv2d_1x1", {"x", "weight", "bias"}, conv({}));
  check_golden(file, "conv2d_relu_pool", {"x", "weight", "bias"},
               conv({.padding = 1, .activation = {ActivationKind::relu}, .max_pool = 2}));
}

TEST_CASE("transposed convolution gives PyTorch's values") {
  const TensorFile file = read_golden("ops");
  const auto conv = [](const ConvTranspose2dOptions& options) {
    return [options](const Inputs& in) {
      return conv_transpose2d(in[0], in[1], in.size() > 2 ? in[2] : Variable(), options);
    };
  };
  check_golden(file, "conv_transpose2d_double", {"x", "weight", "bias"},
               conv({.stride = 2, .padding = 1, .output_padding = 1}));
  check_golden(file, "conv_transpose2d_same", {"x", "weight", "bias"}, conv({.stride = 2, .output_padding = -1}));
  check_golden(file, "conv_transpose2d_4x2", {"x", "weight"}, conv({.stride = 3, .padding = 1, .output_padding = 2}));
  check_golden(file, "conv_transpose2d_3x3", {"x", "weight", "bias"}, conv({.padding = 1}));
  check_golden(file, "conv_transpose2d_leaky_relu", {"x", "weight", "bias"},
               conv({.stride = 2, .padding = 1, .output_padding = 1, .activation = {ActivationKind::leaky_relu, 0.1}}));
}

TEST_CASE("pooling gives PyTorch's values") {
  const TensorFile file = read_golden("ops");
  check_golden(file, "max_pool2d", {"x"}, [](const Inputs& in) { return max_pool2d(in[0], 2); });
  check_golden(file, "max_pool2d_overlapping", {"x"}, [](const Inputs& in) { return max_pool2d(in[0], 3, 2); });
  check_golden(file, "max_pool2d_padded", {"x"}, [](const Inputs& in) { return max_pool2d(in[0], 3, 2, 1); });
  check_golden(file, "max_pool2d_padded_apart", {"x"}, [](const Inputs& in) { return max_pool2d(in[0], 2, 3, 1); });
  check_golden(file, "avg_pool2d", {"x"}, [](const Inputs& in) { return avg_pool2d(in[0], 2); });
  check_golden(file, "global_max_pool", {"x"}, [](const Inputs& in) { return global_max_pool(in[0]); });
  check_golden(file, "global_avg_pool", {"x"}, [](const Inputs& in) { return global_avg_pool(in[0]); });
}

TEST_CASE("linear, activations, add and L2 normalisation give PyTorch's values") {
  const TensorFile file = read_golden("ops");
  check_golden(file, "linear", {"x", "weight", "bias"}, [](const Inputs& in) { return linear(in[0], in[1], in[2]); });
  check_golden(file, "linear_no_bias", {"x", "weight"}, [](const Inputs& in) { return linear(in[0], in[1], {}); });
  check_golden(file, "relu", {"x"}, [](const Inputs& in) { return relu(in[0]); });
  check_golden(file, "leaky_relu", {"x"}, [](const Inputs& in) { return leaky_relu(in[0], 0.1); });
  check_golden(file, "sigmoid", {"x"}, [](const Inputs& in) { return sigmoid(in[0]); });
  check_golden(file, "add", {"a", "b"}, [](const Inputs& in) { return add(in[0], in[1]); });
  check_golden(file, "l2_normalize", {"x"}, [](const Inputs& in) { return l2_normalize(in[0]); });
}

TEST_CASE("pair features and gathered rows give PyTorch's values") {
  const TensorFile file = read_golden("ops");
  check_golden(file, "difference", {"a", "b"},
               [](const Inputs& in) { return pair_features(in[0], in[1], PairFeatures::difference); });
  check_golden(file, "difference_and_product", {"a", "b"},
               [](const Inputs& in) { return pair_features(in[0], in[1], PairFeatures::both); });
  const Tensor& index = file.tensors.at("gather_rows.index");
  check_golden(file, "gather_rows", {"x"}, [&](const Inputs& in) { return gather_rows(in[0], index.span<int32_t>()); });
}

TEST_CASE("batch norm of two views gives the values of PyTorch's two passes") {
  const TensorFile file = read_golden("ops");
  for (const std::string shape : {"batch_norm1d", "batch_norm2d"}) {
    for (const bool training : {true, false}) {
      const std::string name = shape + (training ? "_training" : "_eval");
      check_golden(file, name, {"x", "gamma", "beta"}, [&](const Inputs& in) {
        const auto running = [&](const std::string& key) {
          return file.tensors.at(name + "." + key).to(in[0].dtype());
        };
        Tensor mean = running("mean"), variance = running("variance");
        Variable y = batch_norm(in[0], in[1], in[2], mean, variance, {.views = 2, .training = training});
        const double tolerance = in[0].dtype() == DType::f64 ? 1e-14 : 1e-6;
        CHECK(golden_error(mean, running("mean_after")) <= tolerance);
        CHECK(golden_error(variance, running("variance_after")) <= tolerance);
        return y;
      });
    }
  }
}

}  // namespace
}  // namespace lookalike::testing
