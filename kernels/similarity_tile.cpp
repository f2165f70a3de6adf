// Register tiles of similarity.h: kQueries broadcast values times two vectors of panel rows, so that all sums of a tile
// stay in registers over the whole of d. Compiled once for each instruction set.
#include "kernels/similarity.h"

namespace lookalike::cpu::LOOKALIKE_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kQueries = 12;
#elif defined(__AVX2__)
constexpr int kLanes = 8, kQueries = 6;
#else
constexpr int kLanes = 4, kQueries = 6;
#endif
typedef float Vec __attribute__((vector_size(kLanes * sizeof(float)), aligned(sizeof(float)), may_alias));

static_assert(kPanelRows % (2 * kLanes) == 0);

template <int Q>
void score_tile(const float* queries, int64_t d, const float* panel, float* scores) {
  for (int column = 0; column < kPanelRows; column += 2 * kLanes) {
    Vec sums[Q][2] = {};
    for (int64_t i = 0; i < d; i++) {
      const float* rows = panel + i * kPanelRows + column;
      const Vec a = *reinterpret_cast<const Vec*>(rows), b = *reinterpret_cast<const Vec*>(rows + kLanes);
#pragma GCC unroll 16
      for (int q = 0; q < Q; q++) {
        const float value = queries[q * d + i];
        sums[q][0] += value * a;
        sums[q][1] += value * b;
      }
    }
#pragma GCC unroll 16
    for (int q = 0; q < Q; q++) {
      float* out = scores + q * kPanelRows + column;
      *reinterpret_cast<Vec*>(out) = sums[q][0];
      *reinterpret_cast<Vec*>(out + kLanes) = sums[q][1];
    }
  }
}

// The last, smaller tile.
template <int Q>
void score_rest(const float* queries, int64_t q, int64_t d, const float* panel, float* scores) {
  if constexpr (Q > 0) {
    if (q == Q) return score_tile<Q>(queries, d, panel, scores);
    score_rest<Q - 1>(queries, q, d, panel, scores);
  }
}

}  // namespace

void score_panel(const float* queries, int64_t q, int64_t d, const float* panel, float* scores) {
  for (; q >= kQueries; q -= kQueries) {
    score_tile<kQueries>(queries, d, panel, scores);
    queries += kQueries * d, scores += kQueries * kPanelRows;
  }
  score_rest<kQueries - 1>(queries, q, d, panel, scores);
}

}  // namespace lookalike::cpu::LOOKALIKE_ISA
