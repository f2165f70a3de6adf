#include "tests/op_case.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace lookalike::testing {

std::vector<OpCase>& op_cases() {
  static std::vector<OpCase> cases;
  return cases;
}

const char* name_of(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::none:
      return "none";
    case ActivationKind::relu:
      return "relu";
    case ActivationKind::leaky_relu:
      return "leaky_relu";
    case ActivationKind::relu6:
      return "relu6";
    case ActivationKind::sigmoid:
      return "sigmoid";
  }
  return "";
}

bool has_kink(ActivationKind kind) {
  return kind != ActivationKind::none && kind != ActivationKind::sigmoid;
}

Tensor random_tensor(const Shape& shape, DType dtype, uint64_t seed) {
  Tensor result(shape, DType::f64);
  Random random(seed, RandomUse::test);
  for (double& x : result.span<double>()) x = random.normal();
  return dtype == DType::f64 ? result : result.to(dtype);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

double relative_error(const Tensor& a, const Tensor& b) {
  check(a.size() == b.size(), "relative_error of {} and {}", a.shape().to_string(), b.shape().to_string());
  const Tensor x = a.to(DType::f64), y = b.to(DType::f64);
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < x.size(); i++) {
    const double p = x.data<double>()[i], q = y.data<double>()[i];
    difference += (p - q) * (p - q), norm += q * q;
  }
  return std::sqrt(difference) / (std::sqrt(norm) + 1e-30);
}

std::vector<Tensor> make_inputs(const OpCase& op_case) {
  std::vector<Tensor> inputs;
  for (const Shape& shape : op_case.inputs) inputs.push_back(random_tensor(shape, DType::f64, inputs.size() + 1));
  if (op_case.prepare) op_case.prepare(inputs);
  return inputs;
}

bool is_differentiable(const OpCase& c, size_t input) {
  return c.differentiable.empty() || c.differentiable[input];
}

Tensor make_cotangent(const Shape& shape, DType dtype) {
  return random_tensor(shape, dtype, 99);
}

OpRun run_op(const OpCase& c, const OpFunction& op, const std::vector<Tensor>& inputs, DType dtype) {
  std::vector<Variable> variables;
  for (size_t i = 0; i < inputs.size(); i++) variables.emplace_back(inputs[i].to(dtype), is_differentiable(c, i));
  Variable out = op(variables);
  OpRun result{out.value(), {}};
  out.backward(make_cotangent(out.shape(), dtype));
  for (size_t i = 0; i < variables.size(); i++) {
    if (is_differentiable(c, i)) result.grads.push_back(variables[i].grad());
  }
  return result;
}

OpRun run_op(const OpCase& c, const std::vector<Tensor>& inputs, const Compute& compute) {
  allow_tf32(compute.precision == Precision::tf32);
  choose_conv(compute.conv);
  std::vector<Variable> variables;
  for (size_t i = 0; i < inputs.size(); i++) {
    const Tensor there = i < c.activations ? place_input(inputs[i], compute) : inputs[i].to(compute.device);
    variables.emplace_back(there, is_differentiable(c, i));
  }
  Variable out = c.op(variables);
  const auto fetch = [](const Tensor& t) { return t.defined() ? t.to(Device::cpu).to(DType::f32) : t; };
  OpRun result{fetch(out.value()), {}};
  out.backward(make_cotangent(out.shape(), DType::f32).to(compute.device).to(out.dtype()));
  for (size_t i = 0; i < variables.size(); i++) {
    if (is_differentiable(c, i)) result.grads.push_back(fetch(variables[i].grad()));
  }
  allow_tf32(false);
  choose_conv(ConvBackend::native);
  return result;
}

double largest_error(const OpRun& got, const OpRun& want) {
  double largest = relative_error(got.output, want.output);
  for (size_t k = 0; k < want.grads.size(); k++) {
    if (!got.grads[k].defined() || !want.grads[k].defined()) return INFINITY;
    const double error = relative_error(got.grads[k], want.grads[k]);
    largest = std::isnan(error) ? INFINITY : std::max(largest, error);
  }
  return std::isnan(largest) ? INFINITY : largest;
}

double float_error(const OpCase& c) {
  std::vector<Tensor> rounded;
  for (const Tensor& input : make_inputs(c)) rounded.push_back(input.to(DType::f32).to(DType::f64));
  return largest_error(run_op(c, c.op, rounded, DType::f32), run_op(c, c.op, rounded, DType::f64));
}

void keep_from_zero(Tensor& tensor, double margin) {
  for (double& x : tensor.span<double>()) x += std::copysign(margin, x);
}

void make_distinct(Tensor& tensor) {
  std::vector<int64_t> rank(tensor.size());
  std::iota(rank.begin(), rank.end(), int64_t{0});
  Random(7, RandomUse::test).shuffle(std::span(rank));
  for (int64_t i = 0; i < tensor.size(); i++) {
    tensor.data<double>()[i] = 1e-3 * static_cast<double>(rank[i] - tensor.size() / 2) + 5e-4;
  }
}

}  // namespace lookalike::testing
