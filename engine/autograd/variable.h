// The tape. A Variable is a tensor, its gradient, and the closure that turns the gradient of an op's output into the
// gradients of its inputs. Ops are free functions that return Variables; the graph is what the Variables hold, and it
// is freed with the last of them. The graph by itself keeps no values: what a backward closure needs, it holds, as Variables or
// Tensors, and a value that nobody holds is freed while the graph still stands.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "engine/core/profile.h"
#include "engine/core/tensor.h"

namespace lookalike {

class Variable;

// Gradient of the output in, one gradient for each input out, in their order; an undefined Tensor for an input that
// needs none. It must not write to `dy` (others may share it), and what it returns must be new memory or `dy` itself.
using BackwardFunction = std::function<std::vector<Tensor>(const Tensor& dy)>;

// Mean and variance [views, C] of a variable's channels over each of its stacked views; no views: not known.
struct ChannelStatistics {
  int64_t views = 0;
  Tensor mean, variance;
};

class Variable {
 public:
  Variable() = default;
  // A leaf: data, or with `requires_grad` a parameter.
  explicit Variable(Tensor value, bool requires_grad = false);

  // The output of an op. Keeps `backward` and the inputs only while recording is on and some input requires a gradient.
  static Variable from_op(Tensor value, std::vector<Variable> inputs, BackwardFunction backward);

  bool defined() const { return handle_ != nullptr; }
  Tensor& value() { return node().value; }
  const Tensor& value() const { return node().value; }
  const Shape& shape() const { return node().value.shape(); }
  DType dtype() const { return node().value.dtype(); }
  Device device() const { return node().value.device(); }
  // Undefined until backward() has reached this leaf.
  Tensor& grad() { return node().grad; }
  const Tensor& grad() const { return node().grad; }
  // What an op that made this variable found out on the way, for the op that needs it next.
  ChannelStatistics& statistics() { return node().statistics; }
  const ChannelStatistics& statistics() const { return node().statistics; }
  bool requires_grad() const { return handle_ && node().requires_grad; }
  void set_requires_grad(bool on);

  // Adds to the gradient of every leaf that this variable depends on and that requires one. `seed` is the gradient of
  // this variable itself, 1 for a scalar when left out. Frees the graph as it goes: one call for each forward pass.
  void backward(Tensor seed = {});

 private:
  struct Node {
    Tensor value, grad;
    ChannelStatistics statistics;
    bool requires_grad = false;
    std::vector<std::shared_ptr<Node>> inputs;
    BackwardFunction backward;
    ProfiledLayer* layer = nullptr;  // that made it, where time is measured
    ~Node();
  };
  // What the Variables of a node share: the value goes with the last of them.
  struct Handle {
    std::shared_ptr<Node> node = std::make_shared<Node>();
    Handle() = default;
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() { node->value.release(); }
  };

  Node& node() const { return *handle_->node; }

  std::shared_ptr<Handle> handle_;
};

// While one of these lives, ops on this thread record nothing: evaluation.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

// Whether an op with these inputs must keep what its backward needs.
bool will_record(const std::vector<Variable>& inputs);

}  // namespace lookalike
