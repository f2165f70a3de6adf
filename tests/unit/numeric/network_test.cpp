// Networks in parts: frozen layers, heads, judges of pairs.
#include "engine/nn/network.h"

#include <cmath>

#include <doctest/doctest.h>

#include "engine/optim/optimizer.h"
#include "engine/train/checkpoint.h"
#include "tests/op_case.h"
#include "tests/training_loss.h"
#include "tests/unsettle.h"

namespace lookalike {
namespace {

using nlohmann::json;
using testing::random_tensor;
using testing::training_loss;

Model build(const json& config, int64_t size = 16) {
  Preprocess preprocess;
  preprocess.height = preprocess.width = size;
  return build_model(config, preprocess, 1, "test");
}

const json kConvnet{{"name", "convnet_bn"}, {"channels", {4, 6}}, {"pool_after", {1, 2}}, {"embedding", 8}};

TEST_CASE("frozen layers keep weights and averages, and take no gradient") {
  const Model model = build(kConvnet);
  Network& network = *model.network;
  network.freeze("norm1");
  CHECK(network.frozen_names() == std::vector<std::string>{"conv1", "norm1"});
  CHECK(network.trainable().size() == state_of(network).parameters.size() - 3);
  std::map<std::string, Tensor> before;
  for (const auto& [name, tensor] : tensors_of(state_of(network))) before[name] = tensor.clone();
  const auto optimizer = make_optimizer({}, network.trainable());
  for (uint64_t step = 0; step < 2; step++) {
    training_loss(network, {{"name", "triplet"}}, Variable(random_tensor({12, 16, 16, 3}, DType::f32, step)))
        .backward();
    optimizer->step(1e-2);
    optimizer->zero_grad();
  }
  for (const auto& [name, tensor] : tensors_of(state_of(network))) {
    CAPTURE(name);
    const bool same = std::equal(tensor.raw(), tensor.raw() + tensor.bytes(), before.at(name).raw());
    CHECK(same == (name.starts_with("conv1.") || name.starts_with("norm1.")));
  }
  CHECK_THROWS_AS(network.freeze("conv"), Error);
}

TEST_CASE("earlier stages learn more slowly") {
  json config{{"name", "resnet50"}, {"width", 2}, {"blocks", {1, 2}}, {"head", {{"embedding", 4}, {"projector", {3}}}}};
  const Model model = build(config);
  model.network->freeze("conv1");
  std::map<std::string, double> rates;
  for (const Parameter& p : model.network->trainable(0.5)) rates[p.name] = p.rate;
  CHECK(rates.count("conv1.weight") == 0);
  CHECK(rates.at("projector.dense1.weight") == 1);
  CHECK(rates.at("head.embedding.weight") == 1);
  CHECK(rates.at("layer2.0.conv1.weight") == 0.25);  // pooling stands between
  CHECK(rates.at("layer2.1.conv1.weight") == 0.25);
  CHECK(rates.at("layer1.0.bn1.bias") == 0.125);
}

TEST_CASE("a stage's name freezes through its last block") {
  const Model model = build({{"name", "resnet50"}, {"width", 2}, {"blocks", {2, 2}}});
  model.network->freeze("layer1");
  CHECK(model.network->frozen_names().back() == "layer1.1");
}

TEST_CASE("features of the frozen layers give what the whole network gives") {
  const Model model = build(kConvnet);
  model.network->freeze("norm2");
  const Variable images(random_tensor({6, 16, 16, 3}, DType::f32));
  const Tensor whole = model.network->forward(images, {}).value();
  const Tensor parts = model.network->forward_trained(model.network->forward_frozen(images), {}).value();
  CHECK(std::equal(whole.raw(), whole.raw() + whole.bytes(), parts.raw()));
}

TEST_CASE("folded batch norms compute what evaluation computed") {
  const json small{{"blocks", {1, 2}}, {"width", 4}};
  json torchvision = small, keras = small;
  torchvision["name"] = keras["name"] = "resnet50", keras["variant"] = "keras";
  // How many tensors fold away with the batch norms: four of each, and a bias takes their place where there was none.
  const std::tuple<json, size_t, int64_t> networks[] = {{kConvnet, 2 * 3, 28},
                                                        {{{"name", "digits"}}, 3 * 3, 28},
                                                        {torchvision, 12 * 3, 28},
                                                        {keras, 12 * 4, 28},
                                                        {{{"name", "squeezenet"}}, 0, 48},
                                                        {{{"name", "efficientnet_lite0"}}, 49 * 3, 33},
                                                        {{{"name", "efficientnet_lite0"}}, 49 * 3, 96}};
  for (const auto& [config, folded, size] : networks) {
    CAPTURE(config.dump());
    const Model model = build(config, size);
    Network& network = *model.network;
    testing::unsettle(network);
    const NetworkState state = state_of(network);
    const Variable images(random_tensor({3, size, size, 3}, DType::f32));
    const NoGrad no_grad;
    const Tensor before = network.forward(images, {}).value().clone();
    network.fold();
    CHECK(state_of(network).parameters.size() + state_of(network).buffers.size() ==
          state.parameters.size() + state.buffers.size() - folded);
    for (int again = 0; again < 2; again++)  // the second time with weights packed before
      CHECK(testing::relative_error(network.forward(images, {}).value(), before) <= 1e-5);
  }
}

TEST_CASE("a judge sees neither order nor the difference of equal embeddings") {
  json config = kConvnet;
  for (const char* matcher : {"classifier", "distance"}) {
    config["head"] = {{"matcher", matcher}};
    const Model model = build(config);
    const Variable a(random_tensor({5, 8}, DType::f32, 1)), b(random_tensor({5, 8}, DType::f32, 2));
    const Tensor ab = model.network->matcher->logits(a, b).value(), ba = model.network->matcher->logits(b, a).value();
    CHECK(ab.shape() == Shape{5});
    CHECK(testing::relative_error(ab, ba) <= 1e-6);
    if (std::string(matcher) == "distance") {
      const Tensor same = model.network->matcher->logits(a, a).value();
      for (const float logit : same.span<float>()) CHECK(logit == same.data<float>()[0]);
    }
  }
}

TEST_CASE("a decoder and a projector do not go together, a head wants rows") {
  CHECK_THROWS_AS(build({{"name", "autoencoder"}, {"head", {{"projector", {4}}}}}), Error);
  CHECK_THROWS_AS(build({{"name", "siamese_cnn"}, {"head", {{"matcher", "judge"}}}}), Error);
  CHECK_THROWS_AS(build({{"name", "siamese_cnn"}, {"similarity", "angle"}}), Error);
}

}  // namespace
}  // namespace lookalike
