#include <algorithm>
#include <cmath>

#include "engine/losses/loss.h"
#include "engine/ops/l2_normalize.h"
#include "engine/optim/optimizer.h"
#include "engine/train/checkpoint.h"
#include "models/model.h"
#include "tests/golden/golden.h"

namespace lookalike::testing {
namespace {

struct Training {
  nlohmann::json config;
  OptimizerOptions optimizer;
  double rate;
  std::function<Variable(const Variable& embeddings)> loss;
  int64_t size = 16, steps = 10;
};

Model build(const Training& training) {
  Preprocess preprocess;
  preprocess.height = preprocess.width = training.size;
  return build_model(training.config, preprocess, 0, "test");
}

std::map<std::string, Tensor> gradients_of(const NetworkState& state) {
  std::map<std::string, Tensor> gradients;
  for (const Parameter& p : state.parameters) gradients[p.name] = p.variable.grad();
  return gradients;
}

double largest(const Tensor& tensor) {
  const Tensor values = tensor.to(DType::f64);
  double result = 0;
  for (const double x : values.span<double>()) result = std::max(result, std::abs(x));
  return result;
}

// All steps in `dtype`: every loss, the first gradients, the weights afterwards, and what evaluation makes of the
// images.
void check_training(const std::string& name, const Training& training, DType dtype, double tolerance) {
  const TensorFile file = read_golden(name);
  const auto golden = [&](const std::string& key) { return file.tensors.at(key).to(dtype); };
  const auto check_tensors = [&](const std::map<std::string, Tensor>& tensors, const std::string& prefix) {
    for (const auto& [name, tensor] : tensors) {
      CAPTURE(name);
      REQUIRE(tensor.defined());
      const Tensor want = golden(prefix + name);
      // A bias before a batch norm has no gradient, only what rounding leaves.
      if (largest(want) < 1e-12)
        CHECK(largest(tensor) <= tolerance);
      else
        CHECK(golden_error(tensor, want) <= tolerance);
    }
  };
  const Model model = build(training);
  NetworkState state = state_of(*model.network);
  for (Parameter& p : state.parameters) p.variable.value() = golden("before." + p.name);
  for (Buffer& b : state.buffers) b.variable.value() = golden("before." + b.name);
  const auto optimizer = make_optimizer(training.optimizer, state.parameters);
  const Variable images(golden("images"));

  for (int64_t step = 0; step < training.steps; step++) {
    CAPTURE(step);
    Variable loss = training.loss(model.network->forward(images, {.training = true, .views = 2}));
    CHECK(loss.value().item() == doctest::Approx(file.tensors.at("losses").data<double>()[step]).epsilon(tolerance));
    optimizer->zero_grad();
    loss.backward();
    if (step == 0) check_tensors(gradients_of(state), "gradient.");
    optimizer->step(training.rate);
  }
  check_tensors(tensors_of(state), "after.");
  CHECK(golden_error(model.network->forward(images, {}).value(), golden("embeddings")) <= tolerance);
}

TEST_CASE("siamese_cnn with batch-hard triplets trains as in PyTorch") {
  const Training training{.config = {{"name", "siamese_cnn"}, {"filters", {4, 6}}, {"embedding", 8}},
                          .optimizer = {.name = "adam"},
                          .rate = 1e-3,
                          .loss = [](const Variable& e) {
                            const std::vector<int32_t> labels{0, 1, 2, 3, 0, 1, 2, 3};
                            return triplet_loss(e, labels, {.margin = 0.5}).loss;
                          }};
  check_training("siamese_cnn", training, DType::f64, 1e-13);
  check_training("siamese_cnn", training, DType::f32, 2e-5);
}

TEST_CASE("convnet_bn with NT-Xent trains as in PyTorch") {
  const Training training{
      .config = {{"name", "convnet_bn"}, {"channels", {4, 6, 8}}, {"pool_after", {1, 2}}, {"embedding", 8}},
      .optimizer = {.name = "adamw", .weight_decay = 0.05},
      .rate = 2e-3,
      .loss = [](const Variable& e) { return nt_xent_loss(e, 0.1).loss; }};
  check_training("convnet_bn", training, DType::f64, 1e-12);
  check_training("convnet_bn", training, DType::f32, 2e-5);
}

TEST_CASE("both variants of resnet50 with NT-Xent train as in PyTorch") {
  for (const std::string variant : {"torchvision", "keras"}) {
    CAPTURE(variant);
    const Training training{.config = {{"name", "resnet50"},
                                       {"variant", variant},
                                       {"width", 2},
                                       {"blocks", {2, 1, 1}},
                                       {"pool", variant == "keras" ? "flatten" : "avg"}},
                            .optimizer = {.name = "sgd", .momentum = 0.9},
                            .rate = 1e-3,
                            .loss = [](const Variable& e) { return nt_xent_loss(l2_normalize(e), 0.1).loss; },
                            .size = 24,
                            .steps = 3};
    check_training("resnet50_" + variant, training, DType::f64, 1e-12);
    check_training("resnet50_" + variant, training, DType::f32, 1e-4);
  }
}

}  // namespace
}  // namespace lookalike::testing
