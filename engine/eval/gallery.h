// Every query ranked against all images of the other side, in memory that does not grow with their
// product.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/eval/metrics.h"

namespace lookalike {

// The partners of queries among the rows of a gallery: those of query q are partners[begins[q]] to
// partners[begins[q + 1] - 1].
struct GalleryTruth {
  std::vector<int64_t> begins{0}, partners;
  int64_t queries() const { return std::ssize(begins) - 1; }
  void add_query(std::span<const int64_t> rows);
};

// For each row of `queries` f32 [q, d] the rank, from 1, of the best of its partners among all rows
// of `gallery` f32 [n, d]: 1 + how many rows are more alike, or as much so and before it. Scores
// are those of exact search (retrieval.h). Error when the shapes do not fit, or a query has no
// partner.
std::vector<int64_t> gallery_ranks(const Tensor& queries, const Tensor& gallery,
                                   const GalleryTruth& truth, Similarity similarity);

// The same of scores that come row by row: scores_of(q) are those of query q with all `count` rows.
std::vector<int64_t> gallery_ranks(
    int64_t count, const GalleryTruth& truth,
    const std::function<std::span<const float>(int64_t query)>& scores_of);

struct GalleryReport {
  std::string name;   // of what was evaluated
  bool seen = false;  // as in Report
  int64_t queries = 0, images = 0;
  std::vector<int64_t> ks;  // those of 1, 10, 25 and 100 that are no more than the images
  RankMetrics ranking;      // recall@k of these, and MRR
  double median_rank = 0;
  std::vector<double> cmc;  // the share of queries with a partner within rank 1, 2, ...
};
GalleryReport gallery_report(const std::string& name, std::span<const int64_t> ranks,
                             int64_t images, uint64_t seed = 0);

// A line for each report; they are of the same gallery.
std::string gallery_table(std::span<const GalleryReport> reports);
// The curve ends where it reaches 1.
nlohmann::ordered_json to_json(const GalleryReport& report);

}  // namespace lookalike
