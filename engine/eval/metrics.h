// Measures of how well embeddings rank and tell apart, each with its uncertainty.
//
// Intervals are 95 % percentile bootstrap intervals (Efron and Tibshirani, "An Introduction to the Bootstrap", chapter
// 13) over queries: what belongs to one query (its candidate lists, its pairs) is drawn together, since it is not
// independent. The draws are keyed by seed and resample, so the same seed gives the same interval anywhere.
// Scores: more is more alike. Equal scores rank by index, lower first; NaN ranks below every number.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/eval/retrieval.h"

namespace lookalike {

// A figure, its 95 % interval, and the number of queries behind it.
struct Estimate {
  double value = 0, low = 0, high = 0;
  int64_t n = 0;
};

constexpr int64_t kBootstrapResamples = 2000;

// Computes figures from a sample in which query q appears times[q] times, into `figures`; NaN where it can't.
using Statistic = std::function<void(std::span<const int32_t> times, std::span<double> figures)>;

// `figures` Estimates of what `statistic` computes from `queries` queries; it is called from several threads. Error
// when there are no queries or when a figure of the sample itself is NaN.
std::vector<Estimate> bootstrap(int64_t queries, int64_t figures, uint64_t seed, const Statistic& statistic);

// The rank, from 1, of candidate `truth` among `scores`.
int64_t rank_of(std::span<const float> scores, int64_t truth);

// The result of one candidate list: whose it is (queries count from 0 without gaps) and where its truth came.
struct Rank {
  int64_t query = 0, rank = 1;
};

struct RankMetrics {
  std::vector<Estimate> top;  // share of lists whose truth is among the first k, for each k asked for
  Estimate mrr;               // mean of 1 / rank
};
RankMetrics rank_metrics(std::span<const Rank> ranks, std::span<const int64_t> ks, uint64_t seed);

// Retrieval among labelled embeddings: every item is a query against all others (definitions of Musgrave, Belongie and
// Lim, "A Metric Learning Reality Check", ECCV 2020, section 3). With R the number of other items of its class:
struct LabelledMetrics {
  std::vector<Estimate> recall;  // recall@k: one of the first k is of its class, for each k asked for
  Estimate precision_at_1;
  Estimate r_precision;                // share of its class among the first R
  Estimate map_at_r;                   // mean over i <= R of precision@i where item i is of its class, else 0
  std::vector<double> first_is_right;  // of each query, 0 or 1: what precision_at_1 is the mean of
};
// `embeddings` f32 [n, d]. Items alone in their class are searched but are no queries; Error when
// all are.
LabelledMetrics labelled_metrics(const Tensor& embeddings, std::span<const int32_t> labels, std::span<const int64_t> ks,
                                 Similarity similarity, uint64_t seed);

// A pair of images to be told apart: two views of the same thing or not.
struct ScoredPair {
  float score = 0;
  bool similar = false;
  int64_t query = 0;  // whose pair it is, for the intervals; queries count from 0 without gaps
};

// A pair is accepted when its score reaches the threshold. False-match rate: share of dissimilar pairs accepted;
// true-match rate: share of similar pairs accepted.
struct VerificationMetrics {
  Estimate roc_auc;  // chance that a similar pair scores higher than a dissimilar one, ties half
  Estimate eer;      // the rate where false matches and false rejections are equally frequent, ROC interpolated
  Estimate true_match_rate;
  double threshold = 0;  // the lowest score whose false-match rate is at most the one asked for; infinite if none is
  double false_match_rate = 0;  // what it is there
};
// Error unless there are similar and dissimilar pairs.
VerificationMetrics verification_metrics(std::vector<ScoredPair> pairs, double max_false_match_rate, uint64_t seed);

// The lowest score whose false-match rate among these pairs is at most that; infinite if none is.
// Error unless there are dissimilar pairs and similar ones.
double threshold_of(std::vector<ScoredPair> pairs, double max_false_match_rate);

// What a threshold chosen elsewhere gives.
struct MatchRates {
  double threshold = 0;
  Estimate false_match_rate, true_match_rate;
};
// Error unless there are similar and dissimilar pairs.
MatchRates rates_at(double threshold, std::span<const ScoredPair> pairs, uint64_t seed);

// Two pairs for each item that is not alone in its class, drawn from `seed`: with another item of its class, and with
// one of another class. Error when all items are of one class, or all alone.
std::vector<ScoredPair> labelled_pairs(const Tensor& embeddings, std::span<const int32_t> labels, Similarity similarity,
                                       uint64_t seed);

}  // namespace lookalike
