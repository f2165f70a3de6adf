// Verifies and times every OpCase with `bench`: forward and backward together, in float, with the bytes and flops that
// the case declares.
#include <benchmark/benchmark.h>

#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

void time_case(benchmark::State& state, const OpCase& c) {
  if (const double error = float_error(c); error > c.tolerance) {
    return state.SkipWithError(fmt::format("float differs from double by {:.1e}", error).c_str());
  }
  std::vector<Variable> inputs;
  for (const Tensor& input : make_inputs(c)) {
    const size_t k = inputs.size();
    inputs.emplace_back(input.to(DType::f32), is_differentiable(c, k));
  }
  const Tensor seed = make_cotangent(c.op(inputs).shape(), DType::f32);
  for (auto _ : state) {
    Variable out = c.op(inputs);
    out.backward(seed);
    for (Variable& input : inputs) input.grad() = Tensor();
  }
  using benchmark::Counter;
  if (c.bytes > 0) state.counters["bytes/s"] = Counter(c.bytes, Counter::kIsIterationInvariantRate);
  if (c.flops > 0) state.counters["flop/s"] = Counter(c.flops, Counter::kIsIterationInvariantRate);
}

}  // namespace
}  // namespace lookalike::testing

int main(int argc, char** argv) {
  using namespace lookalike::testing;
  for (const OpCase& c : op_cases()) {
    if (!c.bench) continue;
    benchmark::RegisterBenchmark(c.name.c_str(), [&c](benchmark::State& state) { time_case(state, c); })
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
