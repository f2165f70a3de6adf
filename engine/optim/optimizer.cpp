#include "engine/optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/ranges.h>

#include "engine/core/finite.h"
#include "engine/core/options.h"
#include "engine/optim/adam.h"
#include "engine/optim/sgd.h"
#include "kernels/grad_norm.h"

namespace lookalike {

namespace {

template <class T>
std::vector<GradTensor<T>> grad_tensors(const std::vector<Parameter>& parameters) {
  std::vector<GradTensor<T>> result;
  for (Parameter p : parameters) {
    Tensor& grad = p.variable.grad();
    if (grad.defined()) result.push_back({grad.data<T>(), grad.size()});
  }
  return result;
}

// On the GPU: what clip_grad_norm would scale the gradients by.
Tensor clip_factor(const std::vector<Parameter>& parameters, double max_norm) {
  Tensor factor({1}, DType::f32, Device::cuda);
  if constexpr (gpu::kBuilt) {
    const auto grads = grad_tensors<float>(parameters);
    Tensor workspace({cuda::grad_norm_workspace(grads)}, DType::f64, Device::cuda);
    Tensor norm({1}, DType::f64, Device::cuda);
    cuda::grad_norm(grads, max_norm, workspace.data<double>(), norm.data<double>(), factor.data<float>(),
                    gpu::compute_stream());
  }
  return factor;
}

}  // namespace

Optimizer::Optimizer(const std::string& name, std::vector<Parameter> parameters, double weight_decay,
                     const std::vector<std::string>& moments)
    : name_(name), parameters_(std::move(parameters)), weight_decay_(weight_decay), moment_names_(moments) {
  check(!parameters_.empty(), "{}: there are no parameters to train", name);
  std::set<std::string> names;
  for (const Parameter& p : parameters_) {
    check(names.insert(p.name).second, "{}: two parameters are called '{}'", name, p.name);
    check(p.variable.dtype() == dtype(), "{}: parameter '{}' is {}, '{}' is {}", name, p.name,
          name_of(p.variable.dtype()), parameters_[0].name, name_of(dtype()));
    auto& tensors = moments_.emplace_back();
    while (tensors.size() < moments.size()) tensors.push_back(Tensor::zeros(p.variable.shape(), dtype(), device()));
  }
  steps_ = Tensor::zeros({1}, DType::i64);
}

void Optimizer::zero_grad() {
  for (Parameter& p : parameters_) p.variable.grad() = Tensor();
}

void Optimizer::step(double rate, double max_norm) {
  Tensor factor;
  if (max_norm > 0) {
    if (device() == Device::cpu)
      clip_grad_norm(parameters_, max_norm);
    else
      factor = clip_factor(parameters_, max_norm);
  }
  update(rate, ++*steps_.data<int64_t>(), factor.defined() ? factor.data<float>() : nullptr);
}

template <class T>
std::vector<StepTensor<T>> Optimizer::step_tensors() {
  std::vector<StepTensor<T>> result;
  for (size_t i = 0; i < parameters_.size(); i++) {
    Variable& variable = parameters_[i].variable;
    if (!variable.grad().defined()) continue;
    const auto moment = [&](size_t k) { return k < moments_[i].size() ? moments_[i][k].data<T>() : nullptr; };
    result.push_back({.w = variable.value().data<T>(),
                      .g = variable.grad().data<T>(),
                      .m = moment(0),
                      .v = moment(1),
                      .size = variable.value().size(),
                      .decay = parameters_[i].decay ? weight_decay_ : 0,
                      .rate = parameters_[i].rate});
  }
  return result;
}

template std::vector<StepTensor<float>> Optimizer::step_tensors();
template std::vector<StepTensor<double>> Optimizer::step_tensors();

std::vector<std::pair<std::string, Tensor>> Optimizer::state() const {
  std::vector<std::pair<std::string, Tensor>> result{{name_ + ".step", steps_}};
  for (size_t i = 0; i < parameters_.size(); i++) {
    for (size_t k = 0; k < moment_names_.size(); k++) {
      result.emplace_back(fmt::format("{}.{}/{}", name_, moment_names_[k], parameters_[i].name), moments_[i][k]);
    }
  }
  return result;
}

void Optimizer::load_state(const std::map<std::string, Tensor>& tensors, int64_t steps) {
  const auto mine = state();
  for (const auto& [name, tensor] : mine) {
    const auto found = tensors.find(name);
    check(found != tensors.end(), "optimiser state '{}' is missing", name);
    check(found->second.shape() == tensor.shape() && found->second.dtype() == tensor.dtype(),
          "optimiser state '{}' is {} {}, expected {} {}", name, name_of(found->second.dtype()), found->second.shape(),
          name_of(tensor.dtype()), tensor.shape());
    if (tensor.dtype() == DType::i64) {
      const int64_t stored = *found->second.data<int64_t>();
      check(stored == steps, "optimiser state '{}' is {}, expected {}, the steps of the run", name,
            stored, steps);
      continue;
    }
    check(first_row_not_finite(found->second) < 0, "optimiser state '{}' holds NaN or infinity",
          name);
    check(!name.starts_with(name_ + ".v/") || least_value(found->second) >= 0,
          "optimiser state '{}' holds a number below 0, expected means of squares", name);
  }
  std::set<std::string> names;
  for (const auto& [name, tensor] : mine) names.insert(name);
  for (const auto& [name, tensor] : tensors)
    check(names.contains(name), "optimiser state '{}' is none of {}", name, name_);
  for (auto [name, tensor] : mine) tensor.copy_from(tensors.at(name));
}

namespace {

using Factory = std::unique_ptr<Optimizer> (*)(const OptimizerOptions&, std::vector<Parameter>);
const std::map<std::string, Factory> factories{{"sgd", make_sgd}, {"adam", make_adam}, {"adamw", make_adamw}};

std::vector<std::string> names() {
  std::vector<std::string> result;
  for (const auto& [name, factory] : factories) result.push_back(name);
  return result;
}

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, std::vector<Parameter> parameters) {
  const auto found = factories.find(options.name);
  check(found != factories.end(), "optimiser '{}' is unknown, expected one of: {}", options.name,
        fmt::join(names(), ", "));
  return found->second(options, std::move(parameters));
}

OptimizerOptions read_optimizer(Options& options) {
  OptimizerOptions result;
  result.name = options.choice("name", result.name, names());
  result.weight_decay = options.number("weight_decay", result.weight_decay, 0, kLargeNumber);
  constexpr double kBelowOne = 1 - 1e-6;  // as a float, too
  if (result.name == "sgd") {
    result.momentum = options.number("momentum", result.momentum, 0, kBelowOne);
  } else {
    result.beta1 = options.number("beta1", result.beta1, 0, kBelowOne);
    result.beta2 = options.number("beta2", result.beta2, 0, kBelowOne);
    result.epsilon = options.number("epsilon", result.epsilon, 1e-30, 1);
  }
  return result;
}

double clip_grad_norm(const std::vector<Parameter>& parameters, double max_norm) {
  check(max_norm > 0, "clip_grad_norm: max_norm is {}, expected more than 0", max_norm);
  check(!parameters.empty(), "clip_grad_norm: there are no parameters");
  return with_float(parameters[0].variable.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto grads = grad_tensors<T>(parameters);
    const std::span<const GradTensor<T>> all = grads;
    Tensor workspace({cpu::squared_norm_workspace(all)}, DType::f64);
    const double norm = std::sqrt(cpu::squared_norm(all, workspace.data<double>()));
    if (std::isfinite(norm) && norm > max_norm) cpu::scale(all, max_norm / (norm + 1e-6));
    return norm;
  });
}

}  // namespace lookalike
