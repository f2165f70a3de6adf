// Products of blocks of embeddings: the dot products of queries with database rows, their
// distances, and what brings a gradient back through them. One register tile of broadcast values
// times two vectors, in the widest vectors of this processor. Every element is one chain of
// additions in the order of the reduction, so it does not depend on its place in a block, and equal
// rows have equal products. One thread; the caller splits the work.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/f16.h"

namespace lookalike::cpu {

constexpr int64_t kPanelRows = 32;

// `count` values as float, overwritten.
void widen(const f16* values, int64_t count, float* out);

// rows[count, d] -> panel[d, kPanelRows], overwritten; rows from `count` on are zero.
void pack_panel(const float* rows, int64_t count, int64_t d, float* panel);

// The product of a[rows, k], strided, and b[k, columns]:
//   c[i * c_row + j] = sum_q a[i * a_row + q * a_step] * b[q * b_row + j]
// overwritten, or with `add` accumulated. `columns` is a multiple of kPanelRows.
void block_product(int64_t rows, int64_t columns, int64_t k, const float* a, int64_t a_row,
                   int64_t a_step, const float* b, int64_t b_row, float* c, int64_t c_row,
                   bool add);

// scores[q, kPanelRows] of queries[q, d] with rows[count, d], overwritten: dot products, of the same
// bits as those of a panel, or negative squared distances. For at most kFewQueries, for which
// packing the rows costs more than it saves: they are transposed on their way through the registers.
constexpr int64_t kFewQueries = 4;
void score_rows(const float* queries, int64_t q, int64_t d, const float* rows, int64_t count,
                bool distances, float* scores);

// queries[q, d], panel[d, kPanelRows] -> scores[q, kPanelRows], overwritten: their dot products.
inline void score_panel(const float* queries, int64_t q, int64_t d, const float* panel,
                        float* scores) {
  block_product(q, kPanelRows, d, queries, d, 1, panel, kPanelRows, scores, kPanelRows, false);
}

// Scores of queries with one panel of rows after the other, in the faster of the two ways above.
class PanelScores {
 public:
  // queries[q, d], which stay where they are.
  PanelScores(const float* queries, int64_t q, int64_t d, bool distances)
      : queries_(queries),
        q_(q),
        d_(d),
        distances_(distances),
        packed_(!distances && q > kFewQueries),
        panel_(packed_ ? d * kPanelRows : 0),
        scores_(at_once() * kPanelRows) {}

  // body(query, scores) for each query: its scores with rows[count, d], count <= kPanelRows.
  template <class Body>
  void with(const float* rows, int64_t count, const Body& body) {
    if (packed_) pack_panel(rows, count, d_, panel_.data());
    for (int64_t begin = 0; begin < q_; begin += at_once()) {
      const int64_t scored = std::min(at_once(), q_ - begin);
      const float* asked = queries_ + begin * d_;
      if (packed_)
        score_panel(asked, scored, d_, panel_.data(), scores_.data());
      else
        score_rows(asked, scored, d_, rows, count, distances_, scores_.data());
      for (int64_t i = 0; i < scored; i++) body(begin + i, scores_.data() + i * kPanelRows);
    }
  }

 private:
  // Scored before their scores are looked at; with a panel a multiple of every register tile.
  int64_t at_once() const { return packed_ ? 24 : kFewQueries; }

  const float* queries_;
  int64_t q_, d_;
  bool distances_, packed_;
  std::vector<float> panel_, scores_;
};

}  // namespace lookalike::cpu
