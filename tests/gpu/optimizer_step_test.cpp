#include "kernels/optimizer_step.h"

#include <doctest/doctest.h>

#include "tests/gpu/device_array.h"

namespace lookalike::testing {
namespace {

// Tensors side by side in one array each for w, g, m and v: where a tensor's size is odd the next one is not aligned.
struct State {
  std::vector<int64_t> sizes;
  std::vector<float> w, g, m, v;

  explicit State(const std::vector<int64_t>& sizes) : sizes(sizes) {
    int64_t total = 0;
    for (const int64_t size : sizes) total += size;
    w = random_values<float>(total, 1), g = random_values<float>(total, 2), m = random_values<float>(total, 3);
    v = random_values<float>(total, 4);
    for (float& x : v) x *= x;
  }

  template <class T>
  std::vector<StepTensor<T>> tensors(T* w, const T* g, T* m, T* v) const {
    std::vector<StepTensor<T>> result;
    int64_t at = 0;
    for (const int64_t size : sizes) {
      const double decay = result.size() % 2 == 0 ? 0.01 : 0, rate = result.size() % 3 == 0 ? 1 : 0.4;
      result.push_back({w + at, g + at, m == nullptr ? m : m + at, v == nullptr ? v : v + at, size, decay, rate});
      at += size;
    }
    return result;
  }
};

// step(tensors, factor): on the GPU for a span of float, on the CPU for one of double; moments: how many it has.
template <class Gpu, class Cpu>
void check_step(const State& state, int moments, const float* factor, const Gpu& gpu_step, const Cpu& cpu_step) {
  DeviceArray<float> w(state.w), g(state.g), m(state.m), v(state.v),
      device_factor(std::vector<float>{factor ? *factor : 1});
  const auto have =
      state.tensors<float>(w.data(), g.data(), moments > 0 ? m.data() : nullptr, moments > 1 ? v.data() : nullptr);
  gpu_step(std::span<const StepTensor<float>>(have), factor ? device_factor.data() : nullptr);

  auto want_w = to_double(state.w), want_g = to_double(state.g), want_m = to_double(state.m),
       want_v = to_double(state.v);
  if (factor != nullptr) {
    for (double& x : want_g) x *= *factor;
  }
  const auto want = state.tensors<double>(want_w.data(), want_g.data(), want_m.data(), want_v.data());
  cpu_step(std::span<const StepTensor<double>>(want));
  CHECK(relative_error(to_double(w.read()), want_w) < 1e-6);
  CHECK(relative_error(to_double(m.read()), want_m) < 1e-6);
  CHECK(relative_error(to_double(v.read()), want_v) < 1e-6);
  CHECK(g.read() == state.g);
}

TEST_CASE("optimiser steps") {
  const std::vector<std::vector<int64_t>> kSizes = {
      {}, {0}, {1}, {31, 0, 33, 4}, {4096, 8, 4100}, std::vector<int64_t>(33, 5), std::vector<int64_t>(403, 3)};
  const float factor = 0.37f;
  for (const auto& sizes : kSizes) {
    const State state(sizes);
    CAPTURE(sizes.size());
    CAPTURE(state.w.size());
    for (const float* clip : {static_cast<const float*>(nullptr), &factor}) {
      for (const double momentum : {0.0, 0.9}) {
        const SgdParams p{0.1, momentum};
        check_step(
            state, momentum > 0 ? 1 : 0, clip,
            [&](auto tensors, const float* by) { cuda::sgd_step(p, tensors, by, gpu::compute_stream()); },
            [&](auto tensors) { cpu::sgd_step(p, tensors); });
      }
      for (const bool decoupled : {false, true}) {
        const AdamParams p{1e-2, 0.9, 0.999, 1e-8, decoupled ? 1 : 7, decoupled};
        check_step(
            state, 2, clip,
            [&](auto tensors, const float* by) { cuda::adam_step(p, tensors, by, gpu::compute_stream()); },
            [&](auto tensors) { cpu::adam_step(p, tensors); });
      }
    }
  }
}

}  // namespace
}  // namespace lookalike::testing
