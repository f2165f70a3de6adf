// Dot products of queries with a panel of database rows, the inner loop of an exact search:
//   scores[q, r] = sum_i queries[q, i] * rows[r, i]
// added up in the order of i, so a score does not depend on the place of its query or row. One thread; the caller
// splits the work.
#pragma once

#include <cstdint>

namespace lookalike::cpu {

constexpr int64_t kPanelRows = 32;

// rows[count, d] -> panel[d, kPanelRows], overwritten; rows from `count` on are zero.
void pack_panel(const float* rows, int64_t count, int64_t d, float* panel);

// queries[q, d], panel[d, kPanelRows] -> scores[q, kPanelRows], overwritten.
void score_panel(const float* queries, int64_t q, int64_t d, const float* panel, float* scores);

}  // namespace lookalike::cpu
