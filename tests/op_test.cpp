// Every OpCase: gradient check in double, float against double, and the op against another composition of ops.
#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

double dot(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.size(); i++) sum += a.data<double>()[i] * b.data<double>()[i];
  return sum;
}

// The change of <op(inputs), cotangent> along `direction` of input `k`, by central differences.
double slope_along(const OpCase& c, std::vector<Tensor> inputs, size_t k, const Tensor& direction) {
  NoGrad no_grad;
  const double step = 1e-6;
  double value[2];
  for (int side : {0, 1}) {
    std::vector<Variable> variables;
    for (const Tensor& input : inputs) variables.emplace_back(input.clone());
    double* x = variables[k].value().data<double>();
    for (int64_t i = 0; i < direction.size(); i++) x[i] += (side ? step : -step) * direction.data<double>()[i];
    const Variable out = c.op(variables);
    value[side] = dot(out.value(), make_cotangent(out.shape()));
  }
  return (value[1] - value[0]) / (2 * step);
}

void check_gradients(const OpCase& c) {
  const auto inputs = make_inputs(c);
  const OpRun analytic = run_op(c, c.op, inputs, DType::f64);
  for (size_t k = 0, g = 0; k < inputs.size(); k++) {
    if (!is_differentiable(c, k)) continue;
    const Tensor& grad = analytic.grads[g++];
    CAPTURE(k);
    if (inputs[k].size() == 0) continue;
    REQUIRE(grad.defined());
    const double typical = std::sqrt(dot(grad, grad) / static_cast<double>(grad.size()));
    // Every coordinate of small inputs, a sample of large ones, and a few dense directions.
    const int64_t coordinates = std::min<int64_t>(grad.size(), 60);
    for (int64_t q = 0; q < coordinates; q++) {
      const int64_t i = q * grad.size() / coordinates;
      Tensor direction = Tensor::zeros(grad.shape(), DType::f64);
      direction.data<double>()[i] = 1;
      const double want = slope_along(c, inputs, k, direction), got = grad.data<double>()[i];
      CAPTURE(i);
      CAPTURE(want);
      CAPTURE(got);
      REQUIRE(std::abs(want - got) <= 1e-5 * (std::abs(want) + typical) + 1e-8);
    }
    for (uint64_t seed : {11, 12}) {
      const Tensor direction = random_tensor(inputs[k].shape(), DType::f64, seed);
      const double want = slope_along(c, inputs, k, direction), got = dot(grad, direction);
      CAPTURE(want);
      CAPTURE(got);
      REQUIRE(std::abs(want - got) <=
              1e-5 * (std::abs(want) + typical * std::sqrt(static_cast<double>(grad.size()))) + 1e-8);
    }
  }
}

}  // namespace

TEST_CASE("gradients agree with central differences in double") {
  for (const OpCase& c : op_cases()) {
    if (c.bench) continue;
    CAPTURE(c.name);
    check_gradients(c);
  }
}

TEST_CASE("float agrees with double") {
  for (const OpCase& c : op_cases()) {
    if (c.bench) continue;  // op_bench verifies what it times
    CAPTURE(c.name);
    CHECK(float_error(c) <= c.tolerance);
  }
}

TEST_CASE("an op agrees with its composition") {
  for (const OpCase& c : op_cases()) {
    if (!c.same_as || c.bench) continue;
    CAPTURE(c.name);
    const auto inputs = make_inputs(c);
    const auto error = [&](DType dtype) {
      return largest_error(run_op(c, c.op, inputs, dtype), run_op(c, c.same_as, inputs, dtype));
    };
    CHECK(error(DType::f64) <= 1e-12);
    CHECK(error(DType::f32) <= c.tolerance);
  }
}

}  // namespace lookalike::testing
