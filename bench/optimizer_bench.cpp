// Times the optimiser on the dense layer that dominates siamese_cnn: 4.2 million parameters.
#include <benchmark/benchmark.h>

#include "engine/optim/optimizer.h"

namespace lookalike {
namespace {

constexpr int64_t kSize = int64_t{1} << 22;

std::vector<Parameter> make_parameters() {
  std::vector<Parameter> parameters{{"weight", Variable(Tensor::zeros({kSize}), true)}};
  parameters[0].variable.grad() = Tensor({kSize});
  parameters[0].variable.grad().fill(1e-3);
  return parameters;
}

void set_bytes(benchmark::State& state, int values_moved) {
  state.counters["bytes/s"] =
      benchmark::Counter(4. * values_moved * static_cast<double>(kSize), benchmark::Counter::kIsIterationInvariantRate);
}

void time_step(benchmark::State& state, const std::string& name, int values_moved) {
  auto optimizer = make_optimizer({.name = name, .weight_decay = 0.05}, make_parameters());
  for (auto _ : state) optimizer->step(1e-3);
  set_bytes(state, values_moved);
}

void time_clip(benchmark::State& state) {
  const auto parameters = make_parameters();
  for (auto _ : state) clip_grad_norm(parameters, 1e9);
  set_bytes(state, 1);
}

BENCHMARK_CAPTURE(time_step, adamw, "adamw", 7)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(time_step, sgd, "sgd", 5)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(time_clip)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace lookalike
