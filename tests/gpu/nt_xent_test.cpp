#include "kernels/nt_xent.h"

#include <doctest/doctest.h>

#include "tests/gpu/loss_check.h"

namespace lookalike::testing {
namespace {

void check_nt_xent(const std::vector<float>& e, int64_t n, int64_t d, double temperature) {
  const auto rows = to_double(e);
  LossOutcome want{.de = std::vector<double>(2 * n * d)};
  std::vector<double> workspace(cpu::nt_xent_workspace<double>(n, d));
  if (n > 0) {
    const auto sums = cpu::nt_xent(rows.data(), rows.data() + n * d, n, d, temperature, workspace.data(),
                                   want.de.data(), want.de.data() + n * d);
    want.loss = sums.loss / (2 * static_cast<double>(n));
    want.sums.loss = sums.loss, want.sums.active = sums.active;
  }
  for (int64_t shift : {0, 1}) {
    for (int64_t i = 0; i < n; i++) {
      const RowPair pair{static_cast<int32_t>(i), static_cast<int32_t>(n + (i + shift) % n)};
      double squared;
      cpu::pair_distances(rows.data(), d, &pair, 1, &squared);
      (shift == 0 ? want.sums.positive_distance : want.sums.negative_distance) += std::sqrt(squared);
    }
  }
  DeviceArray<float> device_e(e);
  check_loss(
      want, 2 * n * d, cuda::nt_xent_workspace(n, d),
      [&](float* workspace, float* de, float* loss, DistanceSums* sums) {
        cuda::nt_xent(device_e.data(), n, d, temperature, workspace, de, loss, sums, gpu::compute_stream());
      },
      2e-6);
}

TEST_CASE("nt_xent") {
  constexpr struct {
    int64_t n, d;
  } kCases[] = {{0, 3}, {1, 1}, {1, 5}, {2, 3}, {31, 64}, {33, 65}, {64, 2}, {65, 16}, {131, 5}, {37, 131}};
  for (const auto& [n, d] : kCases) {
    for (const double temperature : {0.5, 2.0}) {
      CAPTURE(n);
      CAPTURE(d);
      CAPTURE(temperature);
      std::vector<float> e = random_values<float>(2 * n * d, 1);
      for (float& x : e) x /= static_cast<float>(std::sqrt(d));
      check_nt_xent(e, n, d, temperature);
    }
  }
}

// Blocks that take more than one tile, and an uneven last one.
TEST_CASE("nt_xent of many tiles") {
  check_nt_xent(random_values<float>(2 * 1000 * 2, 1), 1000, 2, 1);
}

// Similarities far beyond the range of the exponential; all of them equal.
TEST_CASE("nt_xent of extremes") {
  std::vector<float> e = random_values<float>(2 * 20 * 4, 1);
  for (float& x : e) x = std::round(4 * x) * 16;
  check_nt_xent(e, 20, 4, 0.5);
  // One gradient is the other one's negative: what remains is rounding, so only the loss is compared.
  const int64_t n = 70, d = 3;
  DeviceArray<float> same(std::vector<float>(2 * n * d, 0.5f)), workspace(cuda::nt_xent_workspace(n, d)), de(2 * n * d),
      loss(1);
  DeviceArray<DistanceSums> sums(1);
  cuda::nt_xent(same.data(), n, d, 0.1, workspace.data(), de.data(), loss.data(), sums.data(), gpu::compute_stream());
  CHECK(error_of(loss.read()[0], std::log(double{n})) < 1e-6);
  CHECK(sums.read()[0].active == 0);
  for (const float x : de.read()) CHECK(std::abs(x) < 1e-6);

  DeviceArray<float> broken(std::vector<float>(2 * n * d, NAN));
  cuda::nt_xent(broken.data(), n, d, 0.1, workspace.data(), de.data(), loss.data(), sums.data(), gpu::compute_stream());
  workspace.read(), de.read();
  CHECK(std::isnan(loss.read()[0]));
}

}  // namespace
}  // namespace lookalike::testing
