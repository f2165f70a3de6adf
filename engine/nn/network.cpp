#include "engine/nn/network.h"

#include <algorithm>
#include <cmath>

#include "engine/core/names.h"
#include "engine/ops/views.h"

namespace lookalike {

const char* name_of(Similarity similarity) {
  return similarity == Similarity::cosine ? "cosine" : "distance";
}

Similarity parse_similarity(const std::string& name) {
  check(name == "cosine" || name == "distance", "similarity '{}', expected cosine or distance", name);
  return name == "cosine" ? Similarity::cosine : Similarity::negative_distance;
}

void Network::freeze(const std::string& through) {
  frozen_ = 0;
  const std::vector<std::string> names = layers.names();
  for (size_t i = 0; i < names.size(); i++)
    if (names[i] == through || names[i].starts_with(through + ".")) frozen_ = i + 1;
  check(frozen_ > 0, "freeze: no layer '{}', expected one of: {}", through, some_of(names));
  for (Parameter& parameter : frozen_state().parameters) parameter.variable.set_requires_grad(false);
}

std::vector<Parameter> Network::trainable(double stage_decay) const {
  const auto stage_of = [](const std::string& name) { return name.substr(0, name.find('.')); };
  std::vector<std::string> stages;
  for (const std::string& name : layers.names())
    if (stages.empty() || stages.back() != stage_of(name)) stages.push_back(stage_of(name));
  std::vector<Parameter> result;
  for (Parameter& parameter : state_of(*this).parameters) {
    if (!parameter.variable.requires_grad()) continue;
    // What is not in `layers` stands behind them.
    const auto stage = std::ranges::find(stages, stage_of(parameter.name));
    const auto behind = stage == stages.end() ? 0 : stages.end() - stage - 1;
    parameter.rate = std::pow(stage_decay, behind);
    result.push_back(parameter);
  }
  return result;
}

Variable Network::forward(const Variable& images, const Mode& mode) {
  return forward_trained(forward_frozen(images), mode);
}

Variable Network::forward_frozen(const Variable& images) {
  return layers.forward_range(images, {}, 0, frozen_);
}

Variable Network::forward_trained(const Variable& features, const Mode& mode) {
  return to_float(layers.forward_range(features, mode, frozen_, layers.size()));
}

Variable Network::training_output(const Variable& features, const Mode& mode) {
  if (!training_head) return forward_trained(features, mode);
  const Variable output = training_head->forward(layers.forward_range(features, mode, frozen_, layers.size()), mode);
  return output.shape().rank() == 2 ? to_float(output) : output;  // pictures stay as they are
}

void Network::collect(const std::string& prefix, NetworkState& state) const {
  layers.collect(prefix, state);
  if (training_head) training_head->collect(prefix, state);
  if (matcher) matcher->collect(prefix + "matcher.", state);
}

int64_t Network::activation_bytes(const Shape& image) {
  const NoGrad no_grad;
  int64_t bytes = 0;
  Variable x =
      forward_frozen(Variable(Tensor({1, image[0], image[1], image[2]}, DType::f32, Device::meta)));
  const auto pass = [&](Sequential& part, size_t begin) {
    for (size_t i = begin; i < part.size(); i++) {
      x = part.forward_range(x, {}, i, i + 1);
      check(x.value().bytes() <= std::numeric_limits<int64_t>::max() - bytes,
            "more than 2^63 bytes for one image");
      bytes += x.value().bytes();
    }
  };
  pass(layers, frozen_);
  if (training_head) pass(*training_head, 0);
  return bytes;
}

std::vector<std::string> Network::frozen_names() const {
  std::vector<std::string> names = layers.names();
  names.resize(frozen_);
  return names;
}

NetworkState Network::frozen_state() const {
  NetworkState state;
  layers.collect_range("", state, 0, frozen_);
  return state;
}

}  // namespace lookalike
