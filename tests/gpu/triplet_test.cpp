#include "kernels/triplet.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "tests/gpu/loss_check.h"

namespace lookalike::testing {
namespace {

struct Grouping {
  std::vector<int32_t> of_row, rows, begin;

  Grouping(int64_t m, int32_t classes) {
    Random random(5, RandomUse::test);
    begin.push_back(0);
    for (int64_t i = 0; i < m; i++) of_row.push_back(static_cast<int32_t>(random.below(classes)));
    for (int32_t c = 0; c < classes; c++) {
      for (int32_t i = 0; i < m; i++) {
        if (of_row[i] == c) rows.push_back(i);
      }
      begin.push_back(static_cast<int32_t>(rows.size()));
    }
  }
  RowClasses view() const { return {of_row.data(), rows.data(), begin.data()}; }

  // Every (anchor, positive) with a negative; of batch hard one for each anchor. The negative is any.
  std::vector<Triplet> list(Mining mining) const {
    std::vector<Triplet> result;
    Random random(6, RandomUse::test);
    const auto m = static_cast<int32_t>(of_row.size());
    for (int32_t a = 0; a < m; a++) {
      std::vector<int32_t> negatives;
      for (int32_t j = 0; j < m; j++) {
        if (of_row[j] != of_row[a]) negatives.push_back(j);
      }
      if (negatives.empty()) continue;
      for (int32_t p = 0; p < m; p++) {
        if (p == a || of_row[p] != of_row[a]) continue;
        result.push_back({a, p, negatives[random.below(negatives.size())]});
        if (mining == Mining::batch_hard) break;
      }
    }
    return result;
  }
};

LossOutcome reference(Mining mining, const TripletParams& params, const std::vector<double>& e, int64_t m, int64_t d,
                      const Grouping& grouping, std::vector<Triplet>& triplets, double scale) {
  LossOutcome want{.de = std::vector<double>(m * d)};
  if (mining == Mining::all) {
    std::vector<RowPair> pairs(cpu::kAnchorBlock * m);
    std::vector<double> distances(pairs.size()), weights(pairs.size());
    for (int64_t begin = 0; begin < m; begin += cpu::kAnchorBlock) {
      const int64_t end = std::min(m, begin + cpu::kAnchorBlock);
      want.sums += cpu::all_triplets(params, e.data(), m, d, grouping.view(), begin, end, scale, pairs.data(),
                                     distances.data(), weights.data());
      cpu::pair_gradients(e.data(), d, pairs.data(), weights.data(), (end - begin) * m, want.de.data());
    }
  } else {
    const auto count = std::ssize(triplets);
    std::vector<double> weights(2 * count);
    const auto mine = [&](auto* miner) {
      miner(e.data(), m, d, grouping.view(), nullptr, triplets.data(), count, weights.data());
    };
    if (mining == Mining::batch_hard) mine(cpu::mine_batch_hard<double>);
    if (mining == Mining::semi_hard) mine(cpu::mine_semi_hard<double>);
    std::vector<RowPair> pairs;
    for (const auto& [a, p, n] : triplets) pairs.push_back({a, p}), pairs.push_back({a, n});
    cpu::pair_distances(e.data(), d, pairs.data(), 2 * count, weights.data());
    want.sums = cpu::triplet(params, weights.data(), count, scale, weights.data());
    cpu::pair_gradients(e.data(), d, pairs.data(), weights.data(), 2 * count, want.de.data());
  }
  want.loss = scale * want.sums.loss;
  return want;
}

void check_triplet(Mining mining, const TripletParams& params, const std::vector<float>& e, int64_t m, int64_t d,
                   const Grouping& grouping) {
  const auto list = mining == Mining::all ? std::vector<Triplet>{} : grouping.list(mining);
  const auto count = std::ssize(list);
  const double scale = 0.01;
  auto want_list = list;
  const LossOutcome want = reference(mining, params, to_double(e), m, d, grouping, want_list, scale);

  DeviceArray<float> device_e(e);
  DeviceArray<int32_t> of_row(grouping.of_row), rows(grouping.rows), begin(grouping.begin);
  check_loss(want, m * d, cuda::triplet_workspace(mining, m, d, count),
             [&](float* workspace, float* de, float* loss, DistanceSums* sums) {
               DeviceArray<Triplet> triplets(list);
               cuda::triplet(mining, params, device_e.data(), m, d, {of_row.data(), rows.data(), begin.data()},
                             triplets.data(), count, scale, workspace, de, loss, sums, gpu::compute_stream());
               const auto same = [](const Triplet& a, const Triplet& b) {
                 return a.anchor == b.anchor && a.positive == b.positive && a.negative == b.negative;
               };
               CHECK(std::ranges::equal(triplets.read(), want_list, same));
             });
}

constexpr Mining kMinings[] = {Mining::listed, Mining::semi_hard, Mining::batch_hard, Mining::all};

TEST_CASE("triplet") {
  constexpr struct {
    int64_t m, d;
    int32_t classes;
  } kCases[] = {{0, 3, 1},  {1, 3, 1},   {2, 1, 2},    {31, 1, 4},   {33, 64, 1},
                {67, 3, 9}, {64, 16, 2}, {37, 127, 5}, {130, 5, 26}, {20, 131, 3}};
  for (const auto& [m, d, classes] : kCases) {
    std::vector<float> e = random_values<float>(m * d, 1);
    for (float& x : e)
      x /= static_cast<float>(std::sqrt(d));  // the loss is a difference of distances: keep them near it
    for (const Mining mining : kMinings) {
      for (const bool squared : {false, true}) {
        CAPTURE(m);
        CAPTURE(d);
        CAPTURE(static_cast<int>(mining));
        CAPTURE(squared);
        check_triplet(mining, {0.5, squared}, e, m, d, {m, classes});
      }
    }
  }
}

// More rows than one round of all triplets takes, in uneven pieces; then more rows of a class than are taken at a time; longer lists than
// all blocks take in one round.
TEST_CASE("triplet rounds") {
  check_triplet(Mining::all, {0.5, false}, random_values<float>(521 * 2, 1), 521, 2, {521, 60});
  check_triplet(Mining::batch_hard, {0.5, false}, random_values<float>(521 * 2, 1), 521, 2, {521, 60});
  check_triplet(Mining::all, {0.5, false}, random_values<float>(150 * 2, 1), 150, 2, {150, 2});
  for (const Mining mining : {Mining::listed, Mining::semi_hard})
    check_triplet(mining, {0.5, false}, random_values<float>(130 * 2, 1), 130, 2, {130, 3});
}

// Small integers: every sum is exact, and most distances are tied.
TEST_CASE("triplet ties") {
  for (const Mining mining : kMinings) {
    for (const bool squared : {false, true}) {
      CAPTURE(static_cast<int>(mining));
      CAPTURE(squared);
      std::vector<float> e = random_values<float>(75 * 2, 2);
      for (float& x : e) x = std::round(x);
      check_triplet(mining, {1, squared}, e, 75, 2, {75, 4});
      check_triplet(mining, {1, squared}, std::vector<float>(20 * 3, 0.3f), 20, 3, {20, 3});
    }
  }
}

// Nothing hangs, nothing is written outside, picks stay valid rows, and the loss shows it.
TEST_CASE("triplet of NaN") {
  const int64_t m = 40, d = 3;
  const Grouping grouping(m, 4);
  DeviceArray<float> e(std::vector<float>(m * d, NAN));
  DeviceArray<int32_t> of_row(grouping.of_row), rows(grouping.rows), begin(grouping.begin);
  for (const Mining mining : kMinings) {
    CAPTURE(static_cast<int>(mining));
    const auto list = grouping.list(mining);
    const auto count = std::ssize(list);
    DeviceArray<Triplet> triplets(list);
    DeviceArray<float> workspace(cuda::triplet_workspace(mining, m, d, count)), de(m * d), loss(1);
    DeviceArray<DistanceSums> sums(1);
    cuda::triplet(mining, {1, false}, e.data(), m, d, {of_row.data(), rows.data(), begin.data()}, triplets.data(),
                  count, 1, workspace.data(), de.data(), loss.data(), sums.data(), gpu::compute_stream());
    workspace.read(), de.read();
    CHECK(std::isnan(loss.read()[0]));
    for (const auto& [a, p, n] : triplets.read()) CHECK((a >= 0 && a < m && p >= 0 && p < m && n >= 0 && n < m));
  }
}

}  // namespace
}  // namespace lookalike::testing
