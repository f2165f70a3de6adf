// Beside the cases of tests/cases: several blocks, arrays that are not aligned, and the same bits from every run.
#include "kernels/pointwise_loss.h"

#include <doctest/doctest.h>

#include "kernels/softmax_cross_entropy.h"
#include "tests/gpu/loss_check.h"

namespace lookalike::testing {
namespace {

constexpr PointwiseLoss kKinds[] = {PointwiseLoss::bce_with_logits, PointwiseLoss::bce, PointwiseLoss::mse};

// Values, for bce probabilities, and targets in [0, 1].
template <class T>
std::vector<T> values_for(PointwiseLoss kind, int64_t n, bool targets) {
  std::vector<T> values = random_values<T>(n, targets ? 2 : 1);
  if (!targets && kind != PointwiseLoss::bce) return values;
  for (T& x : values) x = from_float<T>(1 / (1 + std::exp(-to_float(x))));
  return values;
}

// The arrays begin `offset` elements behind where they are aligned.
template <class T>
void check_pointwise(PointwiseLoss kind, int64_t n, int64_t offset) {
  const std::vector<T> y = values_for<T>(kind, offset + n, false), t = values_for<T>(kind, offset + n, true);
  const double scale = 1 / static_cast<double>(n + 1);
  const std::vector<double> exact_y = to_double(y), exact_t = to_double(t);
  std::vector<double> want(n), workspace(cpu::pointwise_loss_workspace(n));
  const double want_loss = scale * cpu::pointwise_loss(kind, exact_y.data() + offset, exact_t.data() + offset, n, scale,
                                                       workspace.data(), want.data());
  DeviceArray<T> device_y(y), device_t(t);
  std::vector<T> first;
  float first_loss = 0;
  for (int repeat = 0; repeat < 2; repeat++) {
    DeviceArray<T> dy(offset + n);
    DeviceArray<double> parts(cuda::pointwise_loss_workspace(n));
    DeviceArray<float> loss(1);
    cuda::pointwise_loss(kind, device_y.data() + offset, device_t.data() + offset, n, scale, parts.data(),
                         dy.data() + offset, loss.data(), gpu::compute_stream());
    parts.read();
    std::vector<T> bits = dy.read();
    bits.erase(bits.begin(), bits.begin() + offset);
    const float have = loss.read()[0];
    CHECK(relative_error(to_double(bits), want) < (sizeof(T) == 2 ? 5e-3 : 1e-6));
    CHECK(error_of(have, want_loss) < 1e-6);
    if (repeat == 0) first = bits, first_loss = have;
    CHECK(std::memcmp(first.data(), bits.data(), bits.size() * sizeof(T)) == 0);
    CHECK(first_loss == have);
  }
}

TEST_CASE("losses element by element") {
  for (const PointwiseLoss kind : kKinds) {
    for (const int64_t n : {0, 1, 3, 31, 33, 2047, 2048, 2049, 7001}) {
      CAPTURE(static_cast<int>(kind));
      CAPTURE(n);
      check_pointwise<float>(kind, n, 0);
      check_pointwise<bf16>(kind, n, 0);
      check_pointwise<float>(kind, n, 1);
      check_pointwise<bf16>(kind, n, 3);
    }
  }
}

// More rows than warps in flight take turns.
TEST_CASE("softmax cross-entropy of many rows") {
  constexpr struct { int64_t n, c; } kCases[] = {{0, 3}, {1, 1}, {9, 131}, {33, 64}, {4100, 3}};
  for (const auto& [n, c] : kCases) {
    CAPTURE(n);
    CAPTURE(c);
    const std::vector<float> x = random_values<float>(n * c, 1);
    std::vector<int32_t> classes;
    for (int64_t i = 0; i < n; i++) classes.push_back(static_cast<int32_t>(5 * i % c));
    const double scale = 1 / static_cast<double>(n + 1);
    LossOutcome want{.de = std::vector<double>(n * c)};
    std::vector<double> workspace(2 * n);
    const std::vector<double> exact = to_double(x);
    want.sums = cpu::softmax_cross_entropy(exact.data(), classes.data(), n, c, scale, workspace.data(), want.de.data());
    want.loss = scale * want.sums.loss;
    DeviceArray<float> device_x(x);
    DeviceArray<int32_t> device_classes(classes);
    check_loss(want, n * c, cuda::softmax_cross_entropy_workspace(n) / static_cast<int64_t>(sizeof(float)),
               [&](float* parts, float* dx, float* loss, DistanceSums* sums) {
                 cuda::softmax_cross_entropy(device_x.data(), device_classes.data(), n, c, scale, parts, dx, loss, sums,
                                             gpu::compute_stream());
               });
  }
}

}  // namespace
}  // namespace lookalike::testing
