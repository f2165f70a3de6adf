#include "engine/eval/metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "engine/core/progress.h"
#include "engine/core/random.h"
#include "kernels/parallel.h"

namespace lookalike {
namespace {

// Of sorted values, linearly interpolated.
double quantile(std::span<const double> sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(at), above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

float without_nan(float score) {
  return std::isnan(score) ? -std::numeric_limits<float>::infinity() : score;
}

// Means over `weights[query]` rows of a query, whose sums are columns of `sums` [figure][query].
std::vector<Estimate> bootstrap_means(const std::vector<std::vector<double>>& sums, std::span<const double> weights,
                                      uint64_t seed) {
  const int64_t queries = std::ssize(weights);
  return bootstrap(queries, std::ssize(sums), seed, [&](std::span<const int32_t> times, std::span<double> means) {
    double weight = 0;
    for (int64_t query = 0; query < queries; query++) weight += times[query] * weights[query];
    for (size_t figure = 0; figure < sums.size(); figure++) {
      double sum = 0;
      for (int64_t query = 0; query < queries; query++) sum += times[query] * sums[figure][query];
      means[figure] = sum / weight;
    }
  });
}

int64_t count_queries(int64_t so_far, int64_t query) {
  check(query >= 0, "query {} is negative", query);
  return std::max(so_far, query + 1);
}

// Pairs sorted from the best score down, and what they say at each threshold.
class Roc {
 public:
  explicit Roc(std::vector<ScoredPair> pairs) : pairs_(std::move(pairs)) {
    for (ScoredPair& pair : pairs_) pair.score = without_nan(pair.score);
    std::ranges::stable_sort(pairs_, std::greater{}, &ScoredPair::score);
  }

  struct Point {
    double false_match = 0, true_match = 0, threshold = std::numeric_limits<double>::infinity();
  };
  struct Summary {
    double auc = 0, eer = 0;
    Point best;  // the most true matches within the false-match rate asked for
  };

  // With the pairs of each query counted times[query] times. NaN when one kind of pair is missing.
  Summary summarize(std::span<const int32_t> times, double max_false_match_rate) const {
    double similar = 0, dissimilar = 0;
    for (const ScoredPair& pair : pairs_) (pair.similar ? similar : dissimilar) += times[pair.query];
    Summary summary;
    if (similar == 0 || dissimilar == 0) {
      summary.auc = summary.eer = summary.best.true_match = std::numeric_limits<double>::quiet_NaN();
      return summary;
    }
    Point previous;
    bool crossed = false;
    double true_matches = 0, false_matches = 0;
    for (size_t i = 0; i < pairs_.size(); i++) {
      (pairs_[i].similar ? true_matches : false_matches) += times[pairs_[i].query];
      // Equal scores are accepted together.
      if (i + 1 < pairs_.size() && pairs_[i + 1].score == pairs_[i].score) continue;
      const Point point{false_matches / dissimilar, true_matches / similar, pairs_[i].score};
      summary.auc += (point.false_match - previous.false_match) * (point.true_match + previous.true_match) / 2;
      // false match - false rejection goes from -1 to 1; the EER is where it passes 0.
      const double before = previous.false_match + previous.true_match - 1,
                   after = point.false_match + point.true_match - 1;
      if (!crossed && after >= 0) {
        summary.eer = previous.false_match - before / (after - before) * (point.false_match - previous.false_match);
        crossed = true;
      }
      if (point.false_match <= max_false_match_rate) summary.best = point;
      previous = point;
    }
    return summary;
  }

 private:
  std::vector<ScoredPair> pairs_;
};

// How many queries there are. Error unless there are pairs of both kinds.
int64_t queries_of_both_kinds(std::span<const ScoredPair> pairs) {
  int64_t queries = 0, similar = 0;
  for (const ScoredPair& pair : pairs) {
    queries = count_queries(queries, pair.query);
    similar += pair.similar;
  }
  check(similar > 0 && similar < std::ssize(pairs),
        "{} similar and {} dissimilar pairs, expected some of both to measure verification",
        similar, std::ssize(pairs) - similar);
  return queries;
}

}  // namespace

std::vector<Estimate> bootstrap(int64_t queries, int64_t figures, uint64_t seed, const Statistic& statistic) {
  check(queries > 0, "nothing to evaluate: no queries");
  std::vector<Estimate> estimates(figures);
  std::vector<double> sample(figures);
  statistic(std::vector<int32_t>(queries, 1), sample);
  for (int64_t figure = 0; figure < figures; figure++) {
    check(!std::isnan(sample[figure]), "figure {} can't be computed from these queries", figure);
    estimates[figure] = {sample[figure], sample[figure], sample[figure], queries};
  }

  std::vector<std::vector<double>> resampled(figures, std::vector<double>(kBootstrapResamples));
  ProgressCount progress("estimating intervals from", "resamples", kBootstrapResamples);
  cpu::parallel_for(kBootstrapResamples, 16, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> times(queries);
    std::vector<double> values(figures);
    for (int64_t resample = begin; resample < end; resample++) {
      Random random(seed, RandomUse::bootstrap, resample);
      progress.add();
      std::ranges::fill(times, 0);
      for (int64_t draw = 0; draw < queries; draw++) times[random.below(queries)]++;
      statistic(times, values);
      for (int64_t figure = 0; figure < figures; figure++) resampled[figure][resample] = values[figure];
    }
  });
  for (int64_t figure = 0; figure < figures; figure++) {
    auto& values = resampled[figure];
    std::erase_if(values, [](double value) { return std::isnan(value); });
    if (values.empty()) continue;
    std::ranges::sort(values);
    estimates[figure].low = quantile(values, 0.025);
    estimates[figure].high = quantile(values, 0.975);
  }
  return estimates;
}

int64_t rank_of(std::span<const float> scores, int64_t truth) {
  check(truth >= 0 && truth < std::ssize(scores), "truth {} among {} candidates", truth, scores.size());
  const float own = without_nan(scores[truth]);
  int64_t rank = 1;
  for (int64_t i = 0; i < std::ssize(scores); i++) {
    const float score = without_nan(scores[i]);
    rank += score > own || (score == own && i < truth);
  }
  return rank;
}

RankMetrics rank_metrics(std::span<const Rank> ranks, std::span<const int64_t> ks, uint64_t seed) {
  int64_t queries = 0;
  for (const Rank& rank : ranks) queries = count_queries(queries, rank.query);
  std::vector<double> lists(queries);
  std::vector<std::vector<double>> sums(ks.size() + 1, lists);
  for (const Rank& rank : ranks) {
    lists[rank.query]++;
    for (size_t i = 0; i < ks.size(); i++) sums[i][rank.query] += rank.rank <= ks[i];
    sums.back()[rank.query] += 1.0 / static_cast<double>(rank.rank);
  }
  RankMetrics metrics;
  metrics.top = bootstrap_means(sums, lists, seed);
  metrics.mrr = metrics.top.back();
  metrics.top.pop_back();
  return metrics;
}

LabelledMetrics labelled_metrics(const Tensor& embeddings, std::span<const int32_t> labels, std::span<const int64_t> ks,
                                 Similarity similarity, uint64_t seed) {
  const int64_t n = embeddings.shape()[0];
  check(std::ssize(labels) == n, "{} labels for {} embeddings", labels.size(), n);
  std::map<int32_t, int64_t> class_sizes;
  for (const int32_t label : labels) class_sizes[label]++;
  const auto others_of = [&](int64_t item) { return class_sizes[labels[item]] - 1; };
  int64_t depth = 1, queries = 0;
  for (const int64_t k : ks) depth = std::max(depth, k);
  for (int64_t item = 0; item < n; item++) {
    queries += others_of(item) > 0;
    depth = std::max(depth, others_of(item));
  }
  check(queries > 0, "no label is there twice, so there is nothing to retrieve");

  const bool cosine = similarity == Similarity::cosine;
  const Tensor items = cosine ? normalize_rows(embeddings) : embeddings;
  enum { precision_at_1, r_precision, map_at_r, recall };
  std::vector<std::vector<double>> sums(recall + ks.size(), std::vector<double>(queries));
  // One more than needed, since an item finds itself; in blocks, since all lists together need not fit memory.
  const int64_t width = std::min(depth + 1, n);
  constexpr int64_t kBlock = 256;
  ProgressCount progress("ranking", "images", n);
  for (int64_t begin = 0, query = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, n);
    const Neighbors found = search_similar(items.rows(begin, end), items, width, similarity);
    progress.add(end - begin);
    for (int64_t item = begin; item < end; item++) {
      const int64_t others = others_of(item);
      if (others == 0) continue;
      const int64_t* row = found.indices.data<int64_t>() + (item - begin) * width;
      int64_t place = 0, first_hit = n, hits = 0;
      double precisions = 0;
      for (int64_t i = 0; i < width; i++) {
        if (row[i] == item) continue;
        place++;
        if (labels[row[i]] != labels[item]) continue;
        first_hit = std::min(first_hit, place);
        if (place > others) break;
        hits++;
        precisions += static_cast<double>(hits) / static_cast<double>(place);
      }
      sums[precision_at_1][query] = first_hit == 1;
      sums[r_precision][query] = static_cast<double>(hits) / static_cast<double>(others);
      sums[map_at_r][query] = precisions / static_cast<double>(others);
      for (size_t i = 0; i < ks.size(); i++) sums[recall + i][query] = first_hit <= ks[i];
      query++;
    }
  }
  const auto estimates = bootstrap_means(sums, std::vector<double>(queries, 1), seed);
  return {{estimates.begin() + recall, estimates.end()},
          estimates[precision_at_1],
          estimates[r_precision],
          estimates[map_at_r],
          std::move(sums[precision_at_1])};
}

double threshold_of(std::vector<ScoredPair> pairs, double max_false_match_rate) {
  const int64_t queries = queries_of_both_kinds(pairs);
  return Roc(std::move(pairs))
      .summarize(std::vector<int32_t>(queries, 1), max_false_match_rate)
      .best.threshold;
}

MatchRates rates_at(double threshold, std::span<const ScoredPair> pairs, uint64_t seed) {
  const int64_t queries = queries_of_both_kinds(pairs);
  // By query and kind: its pairs, and those accepted.
  std::vector<std::array<double, 2>> all(queries), accepted(queries);
  for (const ScoredPair& pair : pairs) {
    all[pair.query][pair.similar]++;
    accepted[pair.query][pair.similar] += without_nan(pair.score) >= threshold;
  }
  const auto rates =
      bootstrap(queries, 2, seed, [&](std::span<const int32_t> times, std::span<double> figures) {
        for (const int kind : {0, 1}) {
          double of = 0, hits = 0;
          for (int64_t query = 0; query < queries; query++) {
            of += times[query] * all[query][kind];
            hits += times[query] * accepted[query][kind];
          }
          figures[kind] = hits / of;
        }
      });
  return {threshold, rates[0], rates[1]};
}

VerificationMetrics verification_metrics(std::vector<ScoredPair> pairs, double max_false_match_rate,
                                         uint64_t seed) {
  const int64_t queries = queries_of_both_kinds(pairs);
  const Roc roc(std::move(pairs));
  const auto estimates = bootstrap(queries, 3, seed, [&](std::span<const int32_t> times, std::span<double> figures) {
    const Roc::Summary summary = roc.summarize(times, max_false_match_rate);
    figures[0] = summary.auc, figures[1] = summary.eer, figures[2] = summary.best.true_match;
  });
  const Roc::Point best = roc.summarize(std::vector<int32_t>(queries, 1), max_false_match_rate).best;
  return {estimates[0], estimates[1], estimates[2], best.threshold, best.false_match};
}

std::vector<ScoredPair> labelled_pairs(const Tensor& embeddings, std::span<const int32_t> labels, Similarity similarity,
                                       uint64_t seed) {
  const int64_t n = embeddings.shape()[0];
  check(std::ssize(labels) == n, "{} labels for {} embeddings", labels.size(), n);
  // All items, one class after the other; the class of an item is a stretch of this, all others are the rest.
  std::vector<int64_t> items(n);
  std::iota(items.begin(), items.end(), 0);
  std::ranges::stable_sort(items, {}, [&](int64_t item) { return labels[item]; });
  CandidateLists lists{.count = 2};
  for (int64_t begin = 0, end; begin < n; begin = end) {
    end = begin + 1;
    while (end < n && labels[items[end]] == labels[items[begin]]) end++;
    const int64_t size = end - begin;
    check(size < n, "all {} items are of one class, so none can be told apart", n);
    for (int64_t i = 0; i < size && size > 1; i++) {
      Random random(seed, RandomUse::candidates, items[begin + i]);
      const auto same = static_cast<int64_t>(random.below(size - 1)),
                 other = static_cast<int64_t>(random.below(n - size));
      lists.query.push_back(items[begin + i]);
      lists.candidates.push_back(items[begin + (same < i ? same : same + 1)]);
      lists.candidates.push_back(items[other < begin ? other : other + size]);
    }
  }
  check(lists.lists() > 0, "no label is there twice, so there is no similar pair");
  const Tensor scores = score_candidates(embeddings, embeddings, lists, similarity);
  std::vector<ScoredPair> pairs;
  for (int64_t i = 0; i < scores.size(); i++) pairs.push_back({scores.data<float>()[i], i % 2 == 0, i / 2});
  return pairs;
}

}  // namespace lookalike
