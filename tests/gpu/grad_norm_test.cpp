#include "kernels/grad_norm.h"

#include <doctest/doctest.h>

#include "tests/gpu/device_array.h"

namespace lookalike::testing {
namespace {

struct Clip {
  double norm;
  float factor;
};

Clip clip_on_gpu(const std::vector<float>& values, const std::vector<int64_t>& sizes, double max_norm) {
  DeviceArray<float> g(values), factor(1);
  std::vector<GradTensor<float>> tensors;
  int64_t at = 0;
  for (const int64_t size : sizes) tensors.push_back({g.data() + at, size}), at += size;
  DeviceArray<double> workspace(cuda::grad_norm_workspace(tensors)), norm(1);
  cuda::grad_norm(tensors, max_norm, workspace.data(), norm.data(), factor.data(), gpu::compute_stream());
  workspace.read();
  CHECK(std::memcmp(g.read().data(), values.data(), values.size() * sizeof(float)) == 0);
  return {norm.read()[0], factor.read()[0]};
}

TEST_CASE("grad_norm") {
  const std::vector<std::vector<int64_t>> kSizes = {
      {}, {0}, {1}, {31, 0, 33, 4}, {4096, 8, 4100}, std::vector<int64_t>(33, 5), std::vector<int64_t>(801, 3)};
  for (const auto& sizes : kSizes) {
    int64_t total = 0;
    for (const int64_t size : sizes) total += size;
    const auto values = random_values<float>(total, 1);
    double norm = 0;
    for (const double x : values) norm += x * x;
    norm = std::sqrt(norm);
    CAPTURE(sizes.size());
    CAPTURE(total);
    const Clip first = clip_on_gpu(values, sizes, 0.01), again = clip_on_gpu(values, sizes, 0.01);
    CHECK(std::abs(first.norm - norm) <= 1e-6 * norm);
    CHECK(std::abs(first.factor - (norm > 0.01 ? 0.01 / (norm + 1e-6) : 1)) <= 1e-6 * first.factor);
    CHECK(first.norm == again.norm);
    CHECK(clip_on_gpu(values, sizes, 1e9).factor == 1);
  }
}

TEST_CASE("grad_norm of what is no number") {
  for (const float bad : {NAN, INFINITY}) {
    const Clip clip = clip_on_gpu({1, bad, 2}, {1, 2}, 0.5);
    CHECK(!std::isfinite(clip.norm));
    CHECK(clip.factor == 1);
  }
}

// Squares that a float cannot hold.
TEST_CASE("grad_norm of large and of small gradients") {
  for (const float size : {1e25f, 1e-25f}) {
    const Clip clip = clip_on_gpu(std::vector<float>(300, size), {100, 200}, size);
    CHECK(clip.norm == doctest::Approx(std::sqrt(300.0) * size));
  }
}

}  // namespace
}  // namespace lookalike::testing
