// A training pass as the trainer makes it: a network and the loss of a recipe on a batch of pairs.
#pragma once

#include <vector>

#include "engine/ops/views.h"
#include "engine/train/objective.h"
#include "models/model.h"

namespace lookalike::testing {

// images [2N,H,W,C], rows i and N + i a sample; `loss` is a recipe's [loss]. `similar`: of mixed samples, which have images alike;
// empty: all have.
inline Variable training_loss(Network& network, const nlohmann::json& loss, const Variable& images, uint64_t seed = 1,
                              const std::vector<bool>& similar = {}) {
  Options options(loss, "loss");
  const Objective objective = make_objective(options);
  const int64_t n = images.shape()[0] / 2;
  std::vector<int32_t> labels;
  for (int64_t i = 0; i < 2 * n; i++) labels.push_back(static_cast<int32_t>(i % n));
  for (size_t i = 0; i < similar.size(); i++)
    if (!similar[i]) labels[n + i] = static_cast<int32_t>(n + i);
  Variable x = images;
  if (objective.input != InputViews::both) x = split_views(images, 2)[objective.input == InputViews::right];
  const Variable output =
      network.training_output(network.forward_frozen(x), {.training = true, .views = objective.views()});
  return objective
      .loss({.output = output,
             .labels = labels,
             .mixed_samples = !similar.empty(),
             .images = images.value(),
             .matcher = network.matcher.get(),
             .seed = seed})
      .loss;
}

// Networks of every kind, tiny ones, each with the losses that are meant for it.
struct NetworkCase {
  nlohmann::json model;
  int64_t size;  // of its images
  std::vector<nlohmann::json> losses;
};

inline std::vector<NetworkCase> network_cases() {
  using nlohmann::json;
  const std::vector<json> embedding_losses = {{{"name", "contrastive"}},
                                              {{"name", "contrastive"}, {"hinge", "squared"}},
                                              {{"name", "triplet"}, {"negatives", "random"}},
                                              {{"name", "triplet"}, {"negatives", "semi_hard"}},
                                              {{"name", "triplet"}, {"negatives", "batch_hard"}},
                                              {{"name", "triplet"}, {"negatives", "batch_hard"}, {"squared", true}},
                                              {{"name", "triplet"}, {"negatives", "all"}},
                                              {{"name", "nt_xent"}}};
  const json siamese_cnn{{"name", "siamese_cnn"}, {"filters", {4, 6}}, {"dense", {9}}, {"embedding", 7}};
  const json convnet_bn{
      {"name", "convnet_bn"}, {"channels", {4, 5, 6}}, {"pool_after", {1}}, {"grid", 2}, {"embedding", 7}};
  const auto with_head = [](json model, const json& head) {
    model["head"] = head;
    return model;
  };
  return {
      {siamese_cnn, 12, embedding_losses},
      {convnet_bn, 12, embedding_losses},
      {with_head(convnet_bn, {{"projector", {6, 5}}}), 12, {{{"name", "barlow_twins"}}}},
      {with_head(siamese_cnn, {{"matcher", "classifier"}, {"matcher_hidden", 5}}), 12, {{{"name", "match"}}}},
      {with_head(siamese_cnn, {{"matcher", "distance"}}), 12, {{{"name", "match"}}}},
      {with_head(siamese_cnn, {{"embedding", 4}, {"normalize", false}}), 12, {{{"name", "softmax"}}}},
      {{{"name", "autoencoder"}, {"filters", {4, 5}}, {"decoder", {3, 4}}},
       12,
       {{{"name", "reconstruction"}},
        {{"name", "reconstruction"}, {"direction", "left_to_right"}},
        {{"name", "reconstruction"}, {"direction", "same"}, {"measure", "mse"}}}},
      {with_head({{"name", "conv_encoder"}, {"filters", {4, 5}}}, {{"dense", {8}}, {"norm", true}, {"embedding", 6}}),
       12,
       {{{"name", "triplet"}}}},
      {{{"name", "digits"}}, 28, {{{"name", "contrastive"}, {"margin", 5}}}},
      {{{"name", "resnet50"}, {"width", 2}, {"blocks", {1, 1}}}, 16, {{{"name", "triplet"}, {"squared", true}}}},
  };
}

}  // namespace lookalike::testing
