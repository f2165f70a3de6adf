#include "kernels/contrastive.h"

#include <doctest/doctest.h>

#include "tests/gpu/loss_check.h"

namespace lookalike::testing {
namespace {

struct Pairs {
  std::vector<RowPair> pairs;
  std::vector<PairLabel> labels;
};

Pairs random_pairs(int64_t m, int64_t count) {
  Random random(3, RandomUse::test);
  Pairs result;
  for (int64_t q = 0; q < count; q++) {
    result.pairs.push_back({static_cast<int32_t>(random.below(m)), static_cast<int32_t>(random.below(m))});
    result.labels.push_back(random.below(2) ? PairLabel::similar : PairLabel::dissimilar);
  }
  return result;
}

void check_contrastive(const ContrastiveParams& params, const std::vector<float>& e, int64_t m, int64_t d,
                       const Pairs& list) {
  const auto count = std::ssize(list.pairs);
  const double scale = 1.0 / static_cast<double>(count + 1);
  const auto rows = to_double(e);
  LossOutcome want{.de = std::vector<double>(m * d)};
  std::vector<double> weights(count);
  cpu::pair_distances(rows.data(), d, list.pairs.data(), count, weights.data());
  want.sums = cpu::contrastive(params, weights.data(), list.labels.data(), count, scale, weights.data());
  want.loss = scale * want.sums.loss;
  cpu::pair_gradients(rows.data(), d, list.pairs.data(), weights.data(), count, want.de.data());

  DeviceArray<float> device_e(e);
  DeviceArray<RowPair> pairs(list.pairs);
  DeviceArray<PairLabel> labels(list.labels);
  check_loss(want, m * d, cuda::contrastive_workspace(m, d, count),
             [&](float* workspace, float* de, float* loss, DistanceSums* sums) {
               cuda::contrastive(params, device_e.data(), m, d, pairs.data(), labels.data(), count, scale, workspace,
                                 de, loss, sums, gpu::compute_stream());
             });
}

TEST_CASE("contrastive") {
  constexpr struct {
    int64_t m, d, count;
  } kCases[] = {{0, 3, 0}, {1, 1, 0}, {1, 2, 3}, {2, 1, 1}, {31, 3, 33}, {33, 64, 100}, {37, 127, 61}, {40, 131, 40}};
  constexpr ContrastiveParams kParams[] = {
      {1.5, false, Hinge::distance}, {1.5, true, Hinge::squared}, {20, true, Hinge::distance}};
  for (const auto& [m, d, count] : kCases) {
    for (const auto& params : kParams) {
      CAPTURE(m);
      CAPTURE(d);
      CAPTURE(params.margin);
      check_contrastive(params, random_values<float>(m * d, 1), m, d, random_pairs(std::max<int64_t>(m, 1), count));
    }
  }
  // All distances zero.
  check_contrastive({1, false, Hinge::distance}, std::vector<float>(9 * 5, 0.7f), 9, 5, random_pairs(9, 20));
}

}  // namespace
}  // namespace lookalike::testing
