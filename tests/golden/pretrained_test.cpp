// Networks with published weights against PyTorch's (make_pretrained.py). The weights are not part of this repository: tools/get_weights.sh
// puts them into weights/.
#include <cmath>
#include <filesystem>

#include "engine/nn/network.h"
#include "engine/train/checkpoint.h"
#include "models/model.h"
#include "models/verify.h"
#include "tests/golden/golden.h"

namespace lookalike::testing {
namespace {

// The network with its layer of classes, where it was imported with one, or without; nothing where the weights are not there.
std::unique_ptr<Network> load(const std::string& name, const TensorFile& golden, bool with_classes) {
  const std::string path = LOOKALIKE_SOURCE_DIR "/weights/" + name + ".safetensors";
  if (!std::filesystem::exists(path)) {
    fmt::print("skipped: {} without {} (tools/get_weights.sh {})\n", name, path, name);
    return nullptr;
  }
  Checkpoint checkpoint = read_checkpoint(path);
  if (!with_classes) {
    checkpoint.model["classes"] = 0;
    for (const char* tensor : {"fc.weight", "fc.bias"}) checkpoint.tensors.erase(tensor);
  }
  Preprocess preprocess = checkpoint.preprocess;
  preprocess.height = preprocess.width = golden.tensors.at("images").shape()[1];
  Model model = build_model(checkpoint.model, preprocess, 0, name);
  restore(checkpoint, state_of(*model.network), name);
  return std::move(model.network);
}

// The gradients of a step, in evaluation or in training.
void check_gradients(const std::string& name, const TensorFile& golden, bool training, DType dtype, double tolerance) {
  CAPTURE(training);
  const auto network = load(name, golden, false);
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
void check_pretrained(const std::string& name) {
  CAPTURE(name);
  TensorFile golden = read_golden("pretrained_" + name);
  const auto network = load(name, golden, true);
  if (!network) return;
  const Tensor images = golden.tensors.at("images");
  golden.tensors["input"] =
      Tensor::from({1, images.shape()[1], images.shape()[2], 3}, images.span<float>().first(images.size() / 2));
  // SqueezeNet is imported without its classes.
  for (const char* stage : {"stage.conv10", "stage.logits"}) golden.tensors.erase(stage);
  const auto errors = stage_errors(*network, golden, name);
  CHECK(errors.size() >= 10);
  for (const auto& [stage, error] : errors) {
    CAPTURE(stage);
    CHECK(error <= 1e-4);
  }

  check_gradients(name, golden, false, DType::f64, 1e-9);
  check_gradients(name, golden, true, DType::f64, 1e-9);
  // Rounding takes some units across a kink: PyTorch's own floats are up to 3e-3 from its doubles.
  check_gradients(name, golden, false, DType::f32, 5e-3);
}

TEST_CASE("networks with published weights compute and learn as in PyTorch") {
  for (const char* name : {"efficientnet_lite0", "efficientnet_lite2", "squeezenet"}) check_pretrained(name);
}

}  // namespace
}  // namespace lookalike::testing
