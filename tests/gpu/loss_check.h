// What the tests of the fused losses share.
#pragma once

#include <doctest/doctest.h>

#include "kernels/contrastive.h"
#include "tests/gpu/device_array.h"

namespace lookalike::testing {

struct LossOutcome {
  double loss = 0;
  DistanceSums sums;
  std::vector<double> de;
};

inline double error_of(double have, double want) {
  return std::isfinite(have) ? std::abs(have - want) / (std::abs(want) + 1e-3) : INFINITY;
}

// run(workspace, de, loss, sums) twice: near `want`, and the same bits both times.
template <class Run>
void check_loss(const LossOutcome& want, int64_t de_size, int64_t workspace_size, const Run& run,
                double tolerance = 1e-6) {
  std::vector<float> first;
  for (int repeat = 0; repeat < 2; repeat++) {
    DeviceArray<float> workspace(workspace_size), de(de_size), loss(1);
    DeviceArray<DistanceSums> sums(1);
    run(workspace.data(), de.data(), loss.data(), sums.data());
    workspace.read();
    const DistanceSums have = sums.read()[0];
    std::vector<float> bits = de.read();
    CHECK(relative_error(to_double(bits), want.de) < tolerance);
    CHECK(error_of(have.loss, want.sums.loss) < tolerance);
    CHECK(have.active == want.sums.active);
    CHECK(error_of(have.positive_distance, want.sums.positive_distance) < tolerance);
    CHECK(error_of(have.negative_distance, want.sums.negative_distance) < tolerance);
    bits.push_back(loss.read()[0]);
    CHECK(error_of(bits.back(), want.loss) < tolerance);
    if (repeat == 0) first = bits;
    CHECK(std::memcmp(first.data(), bits.data(), bits.size() * sizeof(float)) == 0);
  }
}

}  // namespace lookalike::testing
