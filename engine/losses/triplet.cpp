#include "kernels/triplet.h"

#include <algorithm>
#include <numeric>

#include "engine/core/dispatch.h"
#include "engine/core/random.h"
#include "engine/losses/detail.h"

namespace lookalike {
namespace {

// The memory behind a RowClasses.
struct Grouping {
  std::vector<int32_t> of_row, rows, begin;

  explicit Grouping(std::span<const int32_t> labels) : of_row(labels.size()), rows(labels.size()) {
    std::iota(rows.begin(), rows.end(), 0);
    std::stable_sort(rows.begin(), rows.end(), [&](int32_t a, int32_t b) { return labels[a] < labels[b]; });
    for (size_t q = 0; q < rows.size(); q++) {
      if (q == 0 || labels[rows[q]] != labels[rows[q - 1]]) begin.push_back(static_cast<int32_t>(q));
      of_row[rows[q]] = static_cast<int32_t>(begin.size()) - 1;
    }
    begin.push_back(static_cast<int32_t>(rows.size()));
  }

  RowClasses view() const { return {of_row.data(), rows.data(), begin.data()}; }
  int64_t row_count() const { return static_cast<int64_t>(rows.size()); }
  std::span<const int32_t> class_of(int64_t row) const {
    const int32_t c = of_row[row];
    return std::span(rows).subspan(begin[c], begin[c + 1] - begin[c]);
  }
  int64_t positives(int64_t row) const { return static_cast<int64_t>(class_of(row).size()) - 1; }
  int64_t negatives(int64_t row) const { return row_count() - positives(row) - 1; }
  // The k-th row that is not of this row's class, in the order of `rows`.
  int32_t negative(int64_t row, int64_t k) const {
    const int32_t c = of_row[row];
    return rows[k < begin[c] ? k : k + begin[c + 1] - begin[c]];
  }
};

int64_t triplet_count(const Grouping& grouping, Negatives negatives, int64_t anchor) {
  const int64_t p = grouping.positives(anchor), n = grouping.negatives(anchor);
  switch (negatives) {
    case Negatives::batch_hard:
      return std::min({p, n, int64_t{1}});
    case Negatives::random:
    case Negatives::semi_hard:
      return n > 0 ? p : 0;
    case Negatives::all:
      return p * n;
  }
  return 0;
}

// Appends the triplets of an anchor, for every choice but `all`. Where the negative, and for batch hard the positive, are
// still to be mined, the places are filled with any valid rows.
void list_triplets(const Grouping& grouping, const TripletOptions& options, int64_t anchor,
                   std::vector<Triplet>& triplets) {
  if (triplet_count(grouping, options.negatives, anchor) == 0) return;
  const auto a = static_cast<int32_t>(anchor);
  const bool draw = options.negatives == Negatives::random;
  Random random(options.seed, RandomUse::negatives, anchor);
  for (const int32_t positive : grouping.class_of(anchor)) {
    if (positive == a) continue;
    triplets.push_back({a, positive, grouping.negative(a, draw ? random.below(grouping.negatives(a)) : 0)});
    if (options.negatives == Negatives::batch_hard) break;
  }
}

// Every choice but `all`: lists of triplets, a part of the anchors at a time so that a list stays O(M) long however
// large the classes are.
template <class T>
DistanceSums listed_triplets(const Tensor& e, const Grouping& grouping, const TripletOptions& options, double scale,
                             Tensor& de) {
  const int64_t rows = e.shape()[0], d = e.shape()[1];
  Tensor workspace({cpu::mining_workspace<T>(rows, d)}, e.dtype());
  if (options.negatives != Negatives::random) {
    cpu::mining_prepare(e.data<T>(), rows, d, workspace.data<T>());
  }
  DistanceSums sums;
  std::vector<Triplet> triplets;
  std::vector<RowPair> pairs;
  for (int64_t anchor = 0; anchor < rows;) {
    triplets.clear();
    for (; anchor < rows && static_cast<int64_t>(triplets.size()) < 2 * rows; anchor++) {
      list_triplets(grouping, options, anchor, triplets);
    }
    const auto count = static_cast<int64_t>(triplets.size());
    Tensor weights({2 * count}, e.dtype());  // first the squared distances
    const auto mine = [&](auto* miner) {
      miner(e.data<T>(), rows, d, grouping.view(), workspace.data<T>(), triplets.data(), count, weights.data<T>());
    };
    if (options.negatives == Negatives::batch_hard) mine(cpu::mine_batch_hard<T>);
    if (options.negatives == Negatives::semi_hard) mine(cpu::mine_semi_hard<T>);
    pairs.clear();
    for (const auto& [a, positive, negative] : triplets) {
      pairs.push_back({a, positive});
      pairs.push_back({a, negative});
    }
    if (options.negatives == Negatives::random) {
      cpu::pair_distances(e.data<T>(), d, pairs.data(), 2 * count, weights.data<T>());
    }
    sums += cpu::triplet({options.margin, options.squared}, weights.data<T>(), count, scale, weights.data<T>());
    cpu::pair_gradients(e.data<T>(), d, pairs.data(), weights.data<T>(), 2 * count, de.data<T>());
  }
  return sums;
}

template <class T>
DistanceSums all_triplets(const Tensor& e, const Grouping& grouping, const TripletOptions& options, double scale,
                          Tensor& de) {
  const int64_t rows = e.shape()[0], d = e.shape()[1];
  std::vector<RowPair> pairs(cpu::kAnchorBlock * rows);
  Tensor distances({cpu::kAnchorBlock, rows}, e.dtype()), weights({cpu::kAnchorBlock, rows}, e.dtype());
  DistanceSums sums;
  for (int64_t begin = 0; begin < rows; begin += cpu::kAnchorBlock) {
    const int64_t end = std::min(rows, begin + cpu::kAnchorBlock);
    sums += cpu::all_triplets({options.margin, options.squared}, e.data<T>(), rows, d, grouping.view(), begin, end,
                              scale, pairs.data(), distances.data<T>(), weights.data<T>());
    cpu::pair_gradients(e.data<T>(), d, pairs.data(), weights.data<T>(), (end - begin) * rows, de.data<T>());
  }
  return sums;
}

void triplets_on_gpu(const Tensor& e, const Grouping& grouping, const TripletOptions& options, double scale,
                     detail::LossOutput& output) {
  if constexpr (gpu::kBuilt) {
    const int64_t rows = e.shape()[0], d = e.shape()[1];
    std::vector<Triplet> triplets;
    if (options.negatives != Negatives::all) {
      for (int64_t anchor = 0; anchor < rows; anchor++) list_triplets(grouping, options, anchor, triplets);
    }
    const auto count = static_cast<int64_t>(triplets.size());
    Tensor of_row = detail::copy_list(grouping.of_row, e.device()),
           sorted = detail::copy_list(grouping.rows, e.device()), begin = detail::copy_list(grouping.begin, e.device()),
           list = detail::copy_list(triplets, e.device());
    const RowClasses classes{detail::list_data<int32_t>(of_row), detail::list_data<int32_t>(sorted),
                             detail::list_data<int32_t>(begin)};
    const auto mining = options.negatives == Negatives::random       ? Mining::listed
                        : options.negatives == Negatives::semi_hard  ? Mining::semi_hard
                        : options.negatives == Negatives::batch_hard ? Mining::batch_hard
                                                                     : Mining::all;
    Tensor workspace({cuda::triplet_workspace(mining, rows, d, count)}, DType::f32, e.device());
    cuda::triplet(mining, {options.margin, options.squared}, e.data<float>(), rows, d, classes,
                  detail::list_data<Triplet>(list), count, scale, workspace.data<float>(), output.de.data<float>(),
                  output.loss.data<float>(), output.sums_data(), gpu::compute_stream());
  }
}

}  // namespace

LossResult triplet_loss(const Variable& e, std::span<const int32_t> labels, const TripletOptions& options) {
  check(e.shape().rank() == 2, "triplet loss of shape {}, expected [M, D]", e.shape());
  const int64_t rows = e.shape()[0];
  check(rows == static_cast<int64_t>(labels.size()), "triplet loss: {} labels for {} rows", labels.size(), rows);
  const Grouping grouping(labels);
  double total = 0;
  for (int64_t a = 0; a < rows; a++) total += static_cast<double>(triplet_count(grouping, options.negatives, a));

  detail::LossOutput output(e);
  const double scale = total > 0 ? 1 / total : 0;
  const LossStats per{.active_share = scale, .mean_positive_distance = scale, .mean_negative_distance = scale};
  if (total == 0) return detail::finish(e, output, per);
  if (e.device() == Device::cpu) {
    LOOKALIKE_ON_CPU(e, {
      const auto run = options.negatives == Negatives::all ? all_triplets<T> : listed_triplets<T>;
      const DistanceSums sums = run(e.value(), grouping, options, scale, output.de);
      output.set(scale * sums.loss, sums);
    });
  } else {
    triplets_on_gpu(e.value(), grouping, options, scale, output);
  }
  return detail::finish(e, output, per);
}

}  // namespace lookalike
