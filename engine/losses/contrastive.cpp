#include <algorithm>
#include <numeric>

#include "engine/core/dispatch.h"
#include "engine/core/random.h"
#include "engine/losses/detail.h"

namespace lookalike {

LossResult contrastive_loss(const Variable& e, std::span<const LabelledPair> pairs, const ContrastiveOptions& options) {
  check(e.shape().rank() == 2, "contrastive loss of shape {}, expected [M, D]", e.shape());
  check(options.margin >= 0, "contrastive loss with margin {}, expected at least 0", options.margin);
  const int64_t rows = e.shape()[0], d = e.shape()[1], count = static_cast<int64_t>(pairs.size());
  std::vector<RowPair> indices;
  std::vector<PairLabel> labels;
  for (const auto& [i, j, label] : pairs) {
    check(std::min(i, j) >= 0 && std::max(i, j) < rows, "contrastive loss: pair ({}, {}) of {} rows", i, j, rows);
    indices.push_back({i, j});
    labels.push_back(label);
  }

  const ContrastiveParams params{options.margin, options.half, options.hinge};
  const double scale = count > 0 ? 1.0 / static_cast<double>(count) : 0;
  detail::LossOutput output(e);
  if (e.device() == Device::cpu) {
    Tensor weights({count}, e.dtype());
    LOOKALIKE_ON_CPU(e, {
      const T* rows_of_e = e.value().data<T>();
      on::pair_distances(rows_of_e, d, indices.data(), count, weights.data<T>());
      const auto sums = on::contrastive(params, weights.data<T>(), labels.data(), count, scale, weights.data<T>());
      on::pair_gradients(rows_of_e, d, indices.data(), weights.data<T>(), count, output.de.data<T>());
      output.set(scale * sums.loss, sums);
    });
  } else {
    if constexpr (gpu::kBuilt) {
      Tensor pairs_there = detail::copy_list(indices, e.device()), labels_there = detail::copy_list(labels, e.device());
      Tensor workspace({cuda::contrastive_workspace(rows, d, count)}, DType::f32, e.device());
      cuda::contrastive(params, e.value().data<float>(), rows, d, detail::list_data<RowPair>(pairs_there),
                        detail::list_data<PairLabel>(labels_there), count, scale, workspace.data<float>(),
                        output.de.data<float>(), output.loss.data<float>(), output.sums_data(), gpu::compute_stream());
    }
  }
  const auto similar = static_cast<double>(std::count(labels.begin(), labels.end(), PairLabel::similar));
  return detail::finish(e, output,
                        {.active_share = scale,
                         .mean_positive_distance = 1 / std::max(1.0, similar),
                         .mean_negative_distance = 1 / std::max(1.0, static_cast<double>(count) - similar)});
}

std::vector<LabelledPair> twin_pairs(int64_t n, uint64_t seed) {
  std::vector<int32_t> partner(n);
  std::iota(partner.begin(), partner.end(), 0);
  // Sattolo's algorithm: a uniformly random permutation of one cycle.
  Random random(seed, RandomUse::negatives);
  for (int64_t i = n; i > 1; i--) std::swap(partner[i - 1], partner[random.below(i - 1)]);

  std::vector<LabelledPair> pairs;
  const auto add = [&](int64_t i, int64_t j, PairLabel label) {
    pairs.push_back({static_cast<int32_t>(i), static_cast<int32_t>(n + j), label});
  };
  for (int64_t i = 0; i < n; i++) add(i, i, PairLabel::similar);
  for (int64_t i = 0; n > 1 && i < n; i++) add(i, partner[i], PairLabel::dissimilar);
  return pairs;
}

}  // namespace lookalike
