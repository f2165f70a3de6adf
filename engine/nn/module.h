// A layer, or a network of layers: parameters, buffers and a forward pass.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/autograd/parameter.h"
#include "kernels/activation.h"

namespace lookalike {

// Which of the two images of a pair those of a batch are, for what treats them differently (Whiten); any: not known, or both.
enum class PairSide : uint8_t { any, left, right };

// How a forward pass is run. `views`: the batch is that many stacked batches of the same size, whose statistics stay
// apart.
struct Mode {
  bool training = false;
  int64_t views = 1;
  uint64_t seed = 0;  // of what layers draw in training, another one each step
  PairSide side = PairSide::any;
};

class BatchNorm;

class Module {
 public:
  virtual ~Module() = default;
  virtual Variable forward(const Variable& x, const Mode& mode) = 0;
  // Appends the parameters and buffers, each name behind `prefix`.
  virtual void collect(const std::string& prefix, NetworkState& state) const;
  // forward(x) + shortcut, then f: fused where the layer can.
  virtual Variable forward_plus(const Variable& x, const Variable& shortcut, const Activation& f, const Mode& mode);
  // For evaluation from now on, which then does less: convolutions take over the batch norms behind them. The parameters are no
  // longer those of before.
  virtual void fold() {}
  // Makes the batch norm that follows, as evaluation has it, part of this layer; false where that can't be.
  virtual bool absorb(const BatchNorm&) { return false; }
};

// All parameters and buffers of a network.
NetworkState state_of(const Module& network);
// Moves them to the device of `compute`, where the network then takes its input, and makes this thread multiply as
// `compute` says. Gradients are dropped.
void prepare_network(const Module& network, const Compute& compute);

// Layers in a row, each with the name that its parameters carry.
class Sequential : public Module {
 public:
  template <class Layer, class... Args>
  void add(const std::string& name, Args&&... args) {
    layers_.emplace_back(name, std::make_unique<Layer>(std::forward<Args>(args)...));
  }
  Variable forward(const Variable& x, const Mode& mode) override { return forward_range(x, mode, 0, size()); }
  void collect(const std::string& prefix, NetworkState& state) const override {
    collect_range(prefix, state, 0, size());
  }
  Variable forward_plus(const Variable& x, const Variable& shortcut, const Activation& f, const Mode& mode) override;
  void fold() override;

  size_t size() const { return layers_.size(); }
  std::vector<std::string> names() const;
  // Layer i, which is a Layer.
  template <class Layer>
  const Layer& layer(size_t i) const {
    return dynamic_cast<const Layer&>(*layers_[i].second);
  }
  // Layers [begin, end) alone.
  Variable forward_range(const Variable& x, const Mode& mode, size_t begin, size_t end);
  void collect_range(const std::string& prefix, NetworkState& state, size_t begin, size_t end) const;

 private:
  std::vector<std::pair<std::string, std::unique_ptr<Module>>> layers_;
};

}  // namespace lookalike
