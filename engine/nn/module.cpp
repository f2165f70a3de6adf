#include "engine/nn/module.h"

namespace lookalike {

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

Variable Sequential::forward(const Variable& x, const Mode& mode) {
  Variable y = x;
  for (auto& [name, layer] : layers_) y = layer->forward(y, mode);
  return y;
}

void Sequential::collect(const std::string& prefix, NetworkState& state) const {
  for (const auto& [name, layer] : layers_) layer->collect(prefix + name + ".", state);
}

}  // namespace lookalike
