#include "engine/nn/module.h"

#include "engine/core/profile.h"
#include "engine/nn/layers.h"
#include "engine/ops/add.h"

namespace lookalike {

Variable Module::forward_plus(const Variable& x, const Variable& shortcut, const Activation& f, const Mode& mode) {
  return add(forward(x, mode), shortcut, f);
}

void Module::collect(const std::string&, NetworkState&) const {}

void prepare_network(const Module& network, const Compute& compute) {
  allow_tf32(compute.precision == Precision::tf32);
  choose_conv(compute.conv);
  const auto move = [device = compute.device](Variable variable) {
    variable.value() = variable.value().to(device);
    variable.grad() = Tensor();
  };
  const NetworkState state = state_of(network);
  for (const Parameter& parameter : state.parameters) move(parameter.variable);
  for (const Buffer& buffer : state.buffers) move(buffer.variable);
}

NetworkState state_of(const Module& network) {
  NetworkState state;
  network.collect("", state);
  return state;
}

std::vector<std::string> Sequential::names() const {
  std::vector<std::string> result;
  for (const auto& [name, layer] : layers_) result.push_back(name);
  return result;
}

Variable Sequential::forward_range(const Variable& x, const Mode& mode, size_t begin, size_t end) {
  Variable y = x;
  for (size_t i = begin; i < end; i++) {
    const ProfileScope scope(layers_[i].first, x.device());
    y = layers_[i].second->forward(y, mode);
  }
  return y;
}

Variable Sequential::forward_plus(const Variable& x, const Variable& shortcut, const Activation& f, const Mode& mode) {
  if (layers_.empty()) return lookalike::add(x, shortcut, f);
  const Variable y = forward_range(x, mode, 0, size() - 1);
  const ProfileScope scope(layers_.back().first, x.device());
  return layers_.back().second->forward_plus(y, shortcut, f, mode);
}

void Sequential::fold() {
  for (auto& [name, layer] : layers_) layer->fold();
  for (size_t i = 0; i + 1 < layers_.size(); i++) {
    const auto* norm = dynamic_cast<const BatchNorm*>(layers_[i + 1].second.get());
    if (norm && layers_[i].second->absorb(*norm)) layers_.erase(layers_.begin() + static_cast<ptrdiff_t>(i) + 1);
  }
}

void Sequential::collect_range(const std::string& prefix, NetworkState& state, size_t begin, size_t end) const {
  for (size_t i = begin; i < end; i++) layers_[i].second->collect(prefix + layers_[i].first + ".", state);
}

}  // namespace lookalike
