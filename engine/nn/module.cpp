#include "engine/nn/module.h"

namespace lookalike {

void Module::collect(const std::string&, NetworkState&) const {}

NetworkState state_of(const Module& network) {
  NetworkState state;
  network.collect("", state);
  return state;
}

Variable Sequential::forward(const Variable& x, const Mode& mode) {
  Variable y = x;
  for (auto& [name, layer] : layers_) y = layer->forward(y, mode);
  return y;
}

void Sequential::collect(const std::string& prefix, NetworkState& state) const {
  for (const auto& [name, layer] : layers_) layer->collect(prefix + name + ".", state);
}

}  // namespace lookalike
