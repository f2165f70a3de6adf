// More columns than one block takes; rows of odd length; the same bits from every run. The whole loss: tests/cases.
#include "kernels/barlow_twins.h"

#include <doctest/doctest.h>

#include "tests/gpu/loss_check.h"

namespace lookalike::testing {
namespace {

TEST_CASE("the loss of a cross-correlation matrix") {
  for (const int64_t d : {1, 3, 31, 64, 130, 1028, 1031}) {
    CAPTURE(d);
    const int64_t n = 7;
    const double lambda = 0.03;
    const std::vector<float> c = random_values<float>(d * d, 1);
    std::vector<double> want = to_double(c), workspace(cpu::barlow_twins_workspace(d));
    double want_loss = 0;
    cpu::barlow_twins(want.data(), d, n, lambda, workspace.data(), &want_loss);
    std::vector<float> first;
    for (int repeat = 0; repeat < 2; repeat++) {
      DeviceArray<float> gradient(c), loss(1);
      DeviceArray<double> parts(cuda::barlow_twins_workspace(d));
      cuda::barlow_twins(gradient.data(), d, n, lambda, parts.data(), loss.data(), gpu::compute_stream());
      parts.read();
      std::vector<float> bits = gradient.read();
      CHECK(relative_error(to_double(bits), want) < 1e-6);
      bits.push_back(loss.read()[0]);
      CHECK(error_of(bits.back(), want_loss) < 1e-6);
      if (repeat == 0) first = bits;
      CHECK(std::memcmp(first.data(), bits.data(), bits.size() * sizeof(float)) == 0);
    }
  }
}

}  // namespace
}  // namespace lookalike::testing
