#include "engine/autograd/variable.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "engine/core/dispatch.h"
#include "kernels/accumulate.h"

namespace lookalike {
namespace {
thread_local bool recording = true;
}

NoGrad::NoGrad() : before_(recording) {
  recording = false;
}
NoGrad::~NoGrad() {
  recording = before_;
}

bool will_record(const std::vector<Variable>& inputs) {
  return recording && std::any_of(inputs.begin(), inputs.end(), [](const Variable& v) { return v.requires_grad(); });
}

Variable::Variable(Tensor value, bool requires_grad) : handle_(std::make_shared<Handle>()) {
  node().value = std::move(value);
  set_requires_grad(requires_grad);
}

Variable Variable::from_op(Tensor value, std::vector<Variable> inputs, BackwardFunction backward) {
  Variable result(std::move(value));
  if (will_record(inputs)) {
    result.node().requires_grad = true;
    for (const Variable& input : inputs) result.node().inputs.push_back(input.handle_->node);
    result.node().backward = std::move(backward);
    result.node().layer = current_layer();
  }
  return result;
}

void Variable::set_requires_grad(bool on) {
  check(!on || dtype() == DType::f32 || dtype() == DType::f64 || dtype() == DType::bf16,
        "a tensor of {} cannot require a gradient", name_of(dtype()));
  node().requires_grad = on;
}

// A long chain of nodes is taken apart in a loop: its depth must not become the depth of the call stack.
Variable::Node::~Node() {
  std::vector<std::shared_ptr<Node>> pending = std::move(inputs);
  while (!pending.empty()) {
    const std::shared_ptr<Node> last = std::move(pending.back());
    pending.pop_back();
    if (last.use_count() == 1) {
      std::move(last->inputs.begin(), last->inputs.end(), std::back_inserter(pending));
      last->inputs.clear();
    }
  }
}

void Variable::backward(Tensor seed) {
  check(requires_grad(), "backward() of a variable that depends on no parameter");
  if (!seed.defined()) {
    check(value().size() == 1, "backward() of shape {} needs a seed gradient", shape());
    seed = Tensor(shape(), dtype(), value().device());
    seed.fill(1);
  }
  check(seed.shape() == shape() && seed.dtype() == dtype(), "seed gradient is {} {}, expected {} {}",
        name_of(seed.dtype()), seed.shape(), name_of(dtype()), shape());

  // Depth-first post-order without recursion: every node stands behind its inputs.
  std::vector<std::shared_ptr<Node>> order;
  std::unordered_set<Node*> seen{&node()};
  std::vector<std::pair<std::shared_ptr<Node>, size_t>> stack{{handle_->node, 0}};
  while (!stack.empty()) {
    auto& [node, next] = stack.back();
    if (next < node->inputs.size()) {
      const std::shared_ptr<Node> input = node->inputs[next++];
      if (input->requires_grad && seen.insert(input.get()).second) stack.emplace_back(input, 0);
    } else {
      order.push_back(node);
      stack.pop_back();
    }
  }

  // `owned`: memory that only this gradient holds, so that a second contribution may be added in place.
  struct Pending {
    Tensor grad;
    bool owned = false;
  };
  std::unordered_map<Node*, Pending> pending;
  const auto add = [](Pending& to, Pending more) {
    if (!to.grad.defined()) {
      to = more;
      return;
    }
    if (!to.owned) std::swap(to, more);
    if (!to.owned) to = {to.grad.clone(), true};
    const Tensor& grad = more.grad;
    LOOKALIKE_ON_DEVICE(grad, { on::accumulate(grad.data<T>(), to.grad.data<T>(), grad.size(), stream...); });
  };
  add(pending[&node()], {seed, false});

  for (size_t i = order.size(); i-- > 0; order.pop_back()) {
    Node& node = *order[i];
    Pending mine = std::move(pending[&node]);
    pending.erase(&node);
    if (!mine.grad.defined()) continue;
    if (!node.backward) {  // a leaf
      Pending total{node.grad, true};
      add(total, {mine.owned ? mine.grad : mine.grad.clone(), true});
      node.grad = total.grad;
      continue;
    }
    const auto grads = [&] {
      const ProfileScope scope(node.layer);
      return node.backward(mine.grad);
    }();
    check(grads.size() == node.inputs.size(), "an op returned {} gradients for {} inputs", grads.size(),
          node.inputs.size());
    for (size_t k = 0; k < grads.size(); k++) {
      Node& input = *node.inputs[k];
      if (!input.requires_grad || !grads[k].defined()) continue;
      const auto& [shape, dtype] = std::pair(input.value.shape(), input.value.dtype());
      check(grads[k].shape() == shape && grads[k].dtype() == dtype, "gradient of input {} is {} {}, expected {} {}", k,
            name_of(grads[k].dtype()), grads[k].shape(), name_of(dtype), shape);
      const auto same = [&](const Tensor& other) { return other.defined() && other.raw() == grads[k].raw(); };
      add(pending[&input], {grads[k], !same(mine.grad) && std::ranges::count_if(grads, same) == 1});
    }
    node.backward = nullptr;
    node.inputs.clear();
  }
}

}  // namespace lookalike
