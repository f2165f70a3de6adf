#include <algorithm>
#include <cmath>

#include "engine/losses/loss.h"
#include "engine/ops/l2_normalize.h"
#include "engine/optim/optimizer.h"
#include "engine/train/checkpoint.h"
#include "models/model.h"
#include "tests/golden/golden.h"
#include "tests/training_loss.h"

namespace lookalike::testing {
namespace {

struct Training {
  nlohmann::json config;
  std::function<Variable(Network& network, const Variable& images)> loss;
  OptimizerOptions optimizer;
  double rate;
  int64_t steps = 10;
};

// The [loss] of a recipe.
auto recipe_loss(const nlohmann::json& loss, const std::vector<bool>& similar = {}) {
  return [=](Network& network, const Variable& images) { return training_loss(network, loss, images, 0, similar); };
}

// Of the samples of a golden file, where they are mixed.
const std::vector<bool> kSimilar{true, false, true, false};

Model build(const nlohmann::json& config, const Shape& images) {
  const Preprocess preprocess{.height = images[1], .width = images[2], .channels = images[3]};
  return build_model(config, preprocess, 0, "test");
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
  const Variable images(golden("images"));
  const Model model = build(training.config, images.shape());
  NetworkState state = state_of(*model.network);
  for (Parameter& p : state.parameters) p.variable.value() = golden("before." + p.name);
  for (Buffer& b : state.buffers) b.variable.value() = golden("before." + b.name);
  const auto optimizer = make_optimizer(training.optimizer, state.parameters);

  for (int64_t step = 0; step < training.steps; step++) {
    CAPTURE(step);
    Variable loss = training.loss(*model.network, images);
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
                          .loss = recipe_loss({{"name", "triplet"}, {"negatives", "batch_hard"}, {"margin", 0.5}}),
                          .optimizer = {.name = "adam"},
                          .rate = 1e-3};
  check_training("siamese_cnn", training, DType::f64, 1e-13);
  check_training("siamese_cnn", training, DType::f32, 2e-5);
}

TEST_CASE("convnet_bn with NT-Xent trains as in PyTorch, pooled to one place or to a grid") {
  for (const auto& [name, grid] : {std::pair("convnet_bn", 1), std::pair("grid_convnet", 2)}) {
    CAPTURE(name);
    const Training training{.config = {{"name", "convnet_bn"},
                                       {"channels", {4, 6, 8}},
                                       {"pool_after", {1, 2}},
                                       {"grid", grid},
                                       {"embedding", 8}},
                            .loss = recipe_loss({{"name", "nt_xent"}, {"temperature", 0.1}}),
                            .optimizer = {.name = "adamw", .weight_decay = 0.05},
                            .rate = 2e-3};
    check_training(name, training, DType::f64, 1e-12);
    check_training(name, training, DType::f32, 2e-5);
  }
}

TEST_CASE("both variants of resnet50 with NT-Xent train as in PyTorch") {
  for (const std::string variant : {"torchvision", "keras"}) {
    CAPTURE(variant);
    const Training training{.config = {{"name", "resnet50"},
                                       {"variant", variant},
                                       {"width", 2},
                                       {"blocks", {2, 1, 1}},
                                       {"pool", variant == "keras" ? "flatten" : "avg"}},
                            .loss =
                                [](Network& network, const Variable& images) {
                                  const Variable e = network.forward(images, {.training = true, .views = 2});
                                  return nt_xent_loss(l2_normalize(e), 0.1).loss;
                                },
                            .optimizer = {.name = "sgd", .momentum = 0.9},
                            .rate = 1e-3,
                            .steps = 3};
    check_training("resnet50_" + variant, training, DType::f64, 1e-12);
    check_training("resnet50_" + variant, training, DType::f32, 1e-4);
  }
}

TEST_CASE("siamese_cnn with a classifier of pairs trains as in PyTorch") {
  const Training training{.config = {{"name", "siamese_cnn"},
                                     {"filters", {4, 6}},
                                     {"embedding", 8},
                                     {"head", {{"matcher", "classifier"}, {"matcher_hidden", 5}}}},
                          .loss = recipe_loss({{"name", "match"}}, kSimilar),
                          .optimizer = {.name = "adam"},
                          .rate = 1e-3};
  check_training("matched_cnn", training, DType::f64, 1e-12);
  check_training("matched_cnn", training, DType::f32, 2e-5);
}

TEST_CASE("siamese_cnn with a hidden layer and a learned distance trains as in PyTorch") {
  const Training training{.config = {{"name", "siamese_cnn"},
                                     {"filters", {4, 6}},
                                     {"dense", {9}},
                                     {"embedding", 8},
                                     {"head", {{"matcher", "distance"}}}},
                          .loss = recipe_loss({{"name", "match"}}, kSimilar),
                          .optimizer = {.name = "adam"},
                          .rate = 1e-3};
  check_training("distance_cnn", training, DType::f64, 1e-12);
  check_training("distance_cnn", training, DType::f32, 2e-5);
}

TEST_CASE("convnet_bn with a projector and Barlow Twins trains as in PyTorch") {
  const Training training{.config = {{"name", "convnet_bn"},
                                     {"channels", {4, 6, 8}},
                                     {"pool_after", {1, 2}},
                                     {"embedding", 8},
                                     {"head", {{"projector", {6, 5}}}}},
                          .loss = recipe_loss({{"name", "barlow_twins"}, {"lambda", 0.05}}),
                          .optimizer = {.name = "sgd", .momentum = 0.9},
                          .rate = 1e-4};
  check_training("barlow_convnet", training, DType::f64, 1e-12);
  check_training("barlow_convnet", training, DType::f32, 2e-5);
}

TEST_CASE("autoencoder from right to left trains as in PyTorch") {
  const Training training{.config = {{"name", "autoencoder"}, {"filters", {4, 6}}, {"decoder", {3, 4}}, {"slope", 0.3}},
                          .loss = recipe_loss({{"name", "reconstruction"}, {"direction", "right_to_left"}}),
                          .optimizer = {.name = "adam"},
                          .rate = 1e-3};
  check_training("autoencoder", training, DType::f64, 1e-12);
  check_training("autoencoder", training, DType::f32, 2e-5);
}

TEST_CASE("conv_encoder with a head of dense layers and batch norm trains as in PyTorch") {
  const Training training{
      .config = {{"name", "conv_encoder"},
                 {"filters", {4, 6}},
                 {"head",
                  {{"dense", {7}}, {"norm", true}, {"norm_epsilon", 0.05}, {"norm_momentum", 0.3}, {"embedding", 5}}}},
      .loss = recipe_loss({{"name", "triplet"}, {"squared", true}}),
      .optimizer = {.name = "sgd", .momentum = 0.9},
      .rate = 1e-4};
  check_training("encoder_head", training, DType::f64, 1e-12);
  check_training("encoder_head", training, DType::f32, 2e-5);
}

TEST_CASE("digits with contrastive loss of same and different pairs trains as in PyTorch") {
  const Training training{.config = {{"name", "digits"}, {"filters", {4, 6, 8}}, {"dense", 7}},
                          .loss = recipe_loss({{"name", "contrastive"}, {"margin", 5}}, kSimilar),
                          .optimizer = {.name = "sgd", .momentum = 0.9},
                          .rate = 1e-3};
  check_training("digits", training, DType::f64, 1e-12);
  check_training("digits", training, DType::f32, 2e-5);
}

}  // namespace
}  // namespace lookalike::testing
