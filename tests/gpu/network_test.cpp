// Whole networks on the GPU: gradients against those in double on the CPU (which tests/unit/numeric/ holds against central
// differences), training steps against the CPU's, the same bits each time.
#include <cmath>

#include <doctest/doctest.h>

#include "engine/optim/optimizer.h"
#include "tests/op_case.h"
#include "tests/training_loss.h"
#include "tests/unsettle.h"

namespace lookalike::testing {
namespace {

using nlohmann::json;

const json kSiameseCnn{{"name", "siamese_cnn"}, {"filters", {4, 6}}, {"dense", {9}}, {"embedding", 7}};
const json kConvnetBn{
    {"name", "convnet_bn"}, {"channels", {4, 5, 6}}, {"pool_after", {1}}, {"grid", 2}, {"embedding", 7}};
constexpr int64_t kSize = 12;
Model build(const json& config) {
  Preprocess preprocess;
  preprocess.height = preprocess.width = kSize;
  return build_model(config, preprocess, 3, "test");
}

Tensor images(uint64_t seed) {
  return random_tensor({8, kSize, kSize, 3}, DType::f32, seed);
}

Variable loss_of(const Model& model, const Tensor& batch, const json& loss) {
  return training_loss(*model.network, loss, Variable(batch));
}

TEST_CASE("gradients through whole networks agree with those in double on the CPU") {
  for (const auto& [config, size, losses] : network_cases()) {
    if (size != kSize) continue;  // larger than an emulated GPU can bear
    for (const json& loss : losses) {
      if (config == kSiameseCnn && loss != losses[0]) continue;  // the other network takes them all
      CAPTURE(config.dump());
      CAPTURE(loss.dump());
      const Model exact = build(config), model = build(config);
      NetworkState wanted = state_of(*exact.network), state = state_of(*model.network);
      for (Parameter p : wanted.parameters) p.variable.value() = p.variable.value().to(DType::f64);
      for (Buffer b : wanted.buffers) b.variable.value() = b.variable.value().to(DType::f64);
      const Tensor batch = images(5);
      const Compute compute{Device::cuda};
      prepare_network(*model.network, compute);
      Variable value = loss_of(model, place_input(batch, compute), loss);
      Variable want = loss_of(exact, batch.to(DType::f64), loss);
      CHECK(value.value().item() == doctest::Approx(want.value().item()).epsilon(1e-5));
      value.backward();
      want.backward();
      for (size_t i = 0; i < state.parameters.size(); i++) {
        CAPTURE(state.parameters[i].name);
        const Tensor got = state.parameters[i].variable.grad().to(Device::cpu).to(DType::f64);
        CHECK(relative_error(got, wanted.parameters[i].variable.grad()) <= 1e-4);
      }
    }
  }
}

std::vector<Tensor> train(const json& config, const std::string& optimizer_name, const Compute& compute) {
  const Model model = build(config);
  prepare_network(*model.network, compute);
  const NetworkState state = state_of(*model.network);
  OptimizerOptions options;
  options.name = optimizer_name;
  options.weight_decay = 0.01;
  const auto optimizer = make_optimizer(options, state.parameters);
  for (uint64_t step = 0; step < 3; step++) {
    Variable loss = loss_of(model, place_input(images(step), compute), {{"name", "nt_xent"}});
    loss.backward();
    optimizer->step(1e-3, 0.5);
    optimizer->zero_grad();
  }
  allow_tf32(false);
  std::vector<Tensor> result;
  for (const Parameter& p : state.parameters) result.push_back(p.variable.value().to(Device::cpu));
  for (const Buffer& b : state.buffers) result.push_back(b.variable.value().to(Device::cpu));
  return result;
}

TEST_CASE("training on the GPU goes as on the CPU, with the same bits each time") {
  for (const json& config : {kSiameseCnn, kConvnetBn}) {
    for (const std::string optimizer : {"sgd", "adamw"}) {
      CAPTURE(config.dump());
      CAPTURE(optimizer);
      const auto want = train(config, optimizer, {});
      for (const auto& [precision, tolerance] :
           {std::pair(Precision::fp32, 1e-4), {Precision::tf32, 0.05}, {Precision::bf16, 0.2}}) {
        if (optimizer == "adamw" && precision != Precision::fp32) continue;  // an optimiser computes the same in each
        CAPTURE(static_cast<int>(precision));
        const auto got = train(config, optimizer, {Device::cuda, precision}),
                   again = train(config, optimizer, {Device::cuda, precision});
        for (size_t i = 0; i < want.size(); i++) {
          CHECK(relative_error(got[i], want[i]) <= tolerance);
          CHECK(std::equal(got[i].raw(), got[i].raw() + got[i].bytes(), again[i].raw()));
        }
      }
    }
  }
}

TEST_CASE("batch norms that fold away on the GPU leave what evaluation computed") {
  const Model model = build(kConvnetBn);
  unsettle(*model.network);
  const Compute compute{Device::cuda};
  prepare_network(*model.network, compute);
  const NoGrad no_grad;
  const Variable batch(place_input(images(5), compute));
  const Tensor before = model.network->forward(batch, {}).value().to(Device::cpu);
  model.network->fold();
  CHECK(relative_error(model.network->forward(batch, {}).value().to(Device::cpu), before) <= 1e-5);
}

// What a network for ImageNet makes of an image. Training one is more than an emulated GPU can bear.
Tensor pretrained_features(const std::string& name, const Compute& compute, bool fold) {
  const Shape image{1, 38, 34, 3};  // padded unevenly
  const Preprocess preprocess{.height = image[1], .width = image[2]};
  const Model model = build_model({{"name", name}}, preprocess, 3, "test");
  unsettle(*model.network);
  prepare_network(*model.network, compute);
  if (fold) model.network->fold();
  const NoGrad no_grad;
  const Variable batch(place_input(random_tensor(image, DType::f32, 5), compute));
  return model.network->layers.forward(batch, {}).value().to(Device::cpu);
}

TEST_CASE("the networks for ImageNet compute on the GPU, folded, what they compute on the CPU") {
  for (const char* name : {"efficientnet_lite0", "squeezenet"}) {
    CAPTURE(name);
    CHECK(relative_error(pretrained_features(name, {Device::cuda}, true), pretrained_features(name, {}, false)) <=
          1e-5);
  }
}

}  // namespace
}  // namespace lookalike::testing
