// What the op cases do not see of batch norm on the GPU: running averages of many rows, of one and
// of none.
#include "engine/ops/batch_norm.h"

#include <doctest/doctest.h>

#include "kernels/batch_norm.h"
#include "tests/gpu/device_array.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

// Running mean and variance after one step with two views.
OpRun running_averages(const Shape& shape, DType dtype, Device device) {
  const Shape channels{shape[-1]};
  const auto given = [&](const Shape& of, uint64_t seed) {
    return random_tensor(of, DType::f32, seed).to(dtype).to(device);
  };
  const auto result = [](const Tensor& t) { return t.to(Device::cpu).to(DType::f64); };
  Tensor mean = given(channels, 1), variance(channels, dtype, device);
  variance.fill(1.7);
  const Variable x(given(shape, 2)), gamma(given(channels, 3)), beta(given(channels, 4));
  batch_norm(x, gamma, beta, mean, variance, {.views = 2, .momentum = 0.25});
  return {result(mean), {result(variance)}};
}

TEST_CASE("batch norm on the GPU keeps the running averages of the CPU") {
  for (const Shape& shape : {Shape{0, 3}, Shape{2, 31}, Shape{6, 3}, Shape{1030, 5}}) {
    CAPTURE(shape.to_string());
    const OpRun want = running_averages(shape, DType::f64, Device::cpu);
    CHECK(largest_error(running_averages(shape, DType::f32, Device::cuda), want) <= 1e-6);
  }
}

TEST_CASE("batch norm on the GPU finds mean and variance 0 where there are no rows") {
  const BatchNormParams p{.views = 2, .images = 0, .height = 1, .width = 1, .channels = 3};
  DeviceArray<float> x(0), mean(6), variance(6);
  DeviceArray<double> workspace(cuda::batch_norm_workspace(p));
  const gpu::Stream stream = gpu::compute_stream();
  cuda::batch_norm_statistics(p, x.data(), workspace.data(), mean.data(), variance.data(), stream);
  CHECK(mean.read() == std::vector<float>(6));
  CHECK(variance.read() == std::vector<float>(6));
}

}  // namespace
}  // namespace lookalike::testing
