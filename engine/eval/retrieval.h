// From embeddings to scores: candidate lists, and exact search. More is more alike; equal scores rank by index.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/nn/network.h"

namespace lookalike {

// Rows of unit length; a row of zeros stays. f32 [n, d].
Tensor normalize_rows(const Tensor& rows);

// Lists of `count` candidates: list i ranks rows candidates[i * count ...] of the right images for row query[i] of the
// left ones, and truth[i] is the place of the true partner in it, from 0. A list of fewer is filled up with kNoCandidate.
struct CandidateLists {
  int64_t count = 0;
  std::vector<int64_t> query, truth, candidates;
  int64_t lists() const { return std::ssize(query); }
  int64_t length(int64_t list) const;
};
constexpr int64_t kNoCandidate = -1;

// f32 [lists, count] from embeddings left [q, d] and right [r, d], f32; -infinity where there is no candidate. Error when
// the shapes don't fit the lists.
Tensor score_candidates(const Tensor& left, const Tensor& right, const CandidateLists& lists, Similarity similarity);

struct Neighbors {
  Tensor indices;  // i64 [queries, k], best first
  Tensor scores;   // f32 [queries, k]: dot products, NaN as -infinity
};

// The k rows of `database` [n, d], f32 or f16, with the largest dot product, for each row of
// `queries` [q, d], f32; on unit rows that is their cosine. Exact: every row is looked at, in
// blocks. Error unless 1 <= k <= n.
Neighbors search_top_k(const Tensor& queries, const Tensor& database, int64_t k);

// The same of the k rows nearest by Euclidean distance; scores are negative distances, from direct differences.
Neighbors search_nearest(const Tensor& queries, const Tensor& database, int64_t k);
// That of the two which goes with a similarity; rows are of unit length for cosines.
Neighbors search_similar(const Tensor& queries, const Tensor& database, int64_t k,
                         Similarity similarity);

// The mean of rows that come piece by piece, f32 [n, d] each, as f32 [d].
class MeanRow {
 public:
  void add(const Tensor& rows);
  Tensor mean() const;

 private:
  std::vector<double> sums_;
  int64_t count_ = 0;
};
// f32 [d], the mean of rows f32 [n, d]; and rows with such a row subtracted from each.
Tensor mean_row(const Tensor& rows);
Tensor minus_row(const Tensor& rows, const Tensor& row);

}  // namespace lookalike
