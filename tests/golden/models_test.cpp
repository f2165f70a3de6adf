#include "engine/losses/loss.h"
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
};

Model build(const Training& training) {
  Preprocess preprocess;
  preprocess.height = preprocess.width = 16;
  return build_model(training.config, preprocess, 0, "test");
}

std::map<std::string, Tensor> gradients_of(const NetworkState& state) {
  std::map<std::string, Tensor> gradients;
  for (const Parameter& p : state.parameters) gradients[p.name] = p.variable.grad();
  return gradients;
}

// Ten steps in `dtype`: every loss, the first gradients, the weights afterwards, and what evaluation makes of the
// images.
void check_training(const std::string& name, const Training& training, DType dtype, double tolerance) {
  const TensorFile file = read_golden(name);
  const auto golden = [&](const std::string& key) { return file.tensors.at(key).to(dtype); };
  const auto check_tensors = [&](const std::map<std::string, Tensor>& tensors, const std::string& prefix) {
    for (const auto& [name, tensor] : tensors) {
      CAPTURE(name);
      REQUIRE(tensor.defined());
      CHECK(golden_error(tensor, golden(prefix + name)) <= tolerance);
    }
  };
  const Model model = build(training);
  NetworkState state = state_of(*model.network);
  for (Parameter& p : state.parameters) p.variable.value() = golden("before." + p.name);
  for (Buffer& b : state.buffers) b.variable.value() = golden("before." + b.name);
  const auto optimizer = make_optimizer(training.optimizer, state.parameters);
  const Variable images(golden("images"));

  for (int64_t step = 0; step < 10; step++) {
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

}  // namespace
}  // namespace lookalike::testing
