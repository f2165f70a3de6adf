// Sums over so many rows that several blocks share them, 16 bytes of channels to a thread: larger than the cases of an op's
// gradient check can be.
#include <doctest/doctest.h>

#include "engine/ops/batch_norm.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/linear.h"
#include "engine/ops/pool2d.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

Variable normalise(const std::vector<Variable>& in, int64_t max_pool) {
  Tensor mean({64}, in[1].dtype(), in[1].device()), variance({64}, in[1].dtype(), in[1].device());
  mean.fill(0), variance.fill(1);
  return batch_norm(in[0], in[1], in[2], mean, variance,
                    {.views = 2, .activation = {ActivationKind::leaky_relu, 0.1}, .max_pool = max_pool});
}

TEST_CASE("ops on the GPU with many rows agree with double on the CPU") {
  const Shape x{6, 17, 18, 64};
  const Conv2dOptions pooled{.activation = {ActivationKind::relu}, .max_pool = 2};
  std::vector<OpCase> cases;
  for (const int64_t pool : {1, 2}) {
    cases.push_back({.name = fmt::format("batch_norm pool {}", pool),
                     .inputs = {x, Shape{64}, Shape{64}},
                     .op = [=](auto& in) { return normalise(in, pool); },
                     .tolerance = 1e-5});
  }
  cases.push_back(
      {.name = "conv2d with activation", .inputs = {{6, 17, 18, 3}, {64, 1, 1, 3}, {64}}, .op = [](auto& in) {
         return conv2d(in[0], in[1], in[2], {.activation = {ActivationKind::sigmoid}});
       }});
  cases.push_back({.name = "conv2d with pool", .inputs = {{6, 17, 18, 3}, {64, 1, 1, 3}, {64}}, .op = [=](auto& in) {
                     return conv2d(in[0], in[1], in[2], pooled);
                   }});
  cases.push_back({.name = "linear", .inputs = {{700, 4}, {64, 4}, {64}}, .op = [](auto& in) {
                     return linear(in[0], in[1], in[2], {});
                   }});
  cases.push_back({.name = "global_avg_pool", .inputs = {x}, .op = [](auto& in) { return global_avg_pool(in[0]); }});
  cases.push_back({.name = "global_max_pool", .inputs = {x}, .op = [](auto& in) { return global_max_pool(in[0]); }});
  for (const OpCase& c : cases) {
    CAPTURE(c.name);
    std::vector<Tensor> single, exact;
    for (const Tensor& input : make_inputs(c)) {
      single.push_back(input.to(DType::f32).to(DType::bf16).to(DType::f32));
      exact.push_back(single.back().to(DType::f64));
    }
    const OpRun want = run_op(c, c.op, exact, DType::f64);
    CHECK(largest_error(run_op(c, single, {Device::cuda, Precision::fp32}), want) <= c.tolerance);
    CHECK(largest_error(run_op(c, single, {Device::cuda, Precision::bf16}), want) <= 1e-2);
  }
}

}  // namespace
}  // namespace lookalike::testing
