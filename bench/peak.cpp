// The ceiling that training speed is compared with: fp32 multiply-adds on registers, on every thread at once. Prints
// {"peak_gflops": ...}, the best of a few short rounds, 2 flops to a multiply-add.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "kernels/parallel.h"

namespace lookalike {
namespace {

// `count` rounds over independent accumulators, enough of them to hide the latency of both multiply-add units.
template <int bytes, int accumulators>
[[gnu::always_inline]] inline float multiply_add(int64_t count) {
  using Vector [[gnu::vector_size(bytes)]] = float;
  Vector sum[accumulators], factor = Vector{} + 0.999f, addend = Vector{} + 0.001f;
  for (int i = 0; i < accumulators; i++) sum[i] = Vector{} + static_cast<float>(i);
  for (int64_t n = 0; n < count; n++) {
#pragma GCC unroll 24
    for (int i = 0; i < accumulators; i++) sum[i] = sum[i] * factor + addend;
  }
  for (int i = 1; i < accumulators; i++) sum[0] += sum[i];
  return sum[0][0];
}

struct Loop {
  float (*run)(int64_t count);
  int flops;  // in one round
};

#if defined(__x86_64__)
[[gnu::target("avx512f,avx2,fma")]] float run_avx512(int64_t count) {
  return multiply_add<64, 24>(count);
}
[[gnu::target("avx2,fma")]] float run_avx2(int64_t count) {
  return multiply_add<32, 12>(count);
}
#endif
float run_base(int64_t count) {
  return multiply_add<16, 12>(count);
}

Loop fastest_loop() {
#if defined(__x86_64__)
  if (cpu::isa() == cpu::Isa::avx512) return {run_avx512, 2 * 24 * 16};
  if (cpu::isa() == cpu::Isa::avx2) return {run_avx2, 2 * 12 * 8};
#endif
  return {run_base, 2 * 12 * 4};
}

double measure_gflops() {
  const Loop loop = fastest_loop();
  const int64_t count = 4'000'000;
  double best = 0;
  for (int round = 0; round < 10; round++) {
    float sink = 0;  // keeps the loops alive
    int threads = 0;
    const auto start = std::chrono::steady_clock::now();
#pragma omp parallel reduction(+ : sink, threads)
    {
      sink += loop.run(count);
      threads++;
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (sink > 0) best = std::max(best, 1e-9 * loop.flops * threads * count / seconds.count());
  }
  return best;
}

}  // namespace
}  // namespace lookalike

int main() {
  std::printf("{\"peak_gflops\": %.0f}\n", lookalike::measure_gflops());
}
