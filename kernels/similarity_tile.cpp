// Register tiles of similarity.h: kRows broadcast values times two vectors, so that all sums of a
// tile stay in registers over the whole reduction. Compiled once for each instruction set.
#include "kernels/simd.h"
#include "kernels/similarity.h"

namespace lookalike::cpu {
namespace {

constexpr int kRows =
    kLanes == 16 ? 12 : 6;  // of a register tile: 24 sums in 32 registers, 12 in 16
static_assert(kPanelRows % kBlock == 0);

// Values [i, i + kLanes) of rows [first, first + kLanes), zeros behind the last row and value,
// transposed.
__attribute__((always_inline)) inline void load_transposed(const float* rows, int64_t count,
                                                           int64_t d, int64_t first, int64_t i,
                                                           Vec (&block)[kLanes]) {
  constexpr int64_t kAhead = 64, kLine = 16;  // rows, and floats of a cache line
  const int64_t from = first * d + i;
  // Not to the first-level cache, where rows at steps of powers of two push each other out.
  for (int64_t r = 0; r < kLanes && i % kLine == 0; r++)
    prefetch<0, 2>(rows, from + (r + kAhead) * d);
  if (first + kLanes <= count && i + kLanes <= d) {
#pragma GCC unroll 16
    for (int64_t r = 0; r < kLanes; r++) block[r] = load(rows + from + r * d);
  } else {
    for (int64_t r = 0; r < kLanes; r++)
      block[r] = first + r < count ? load_some(rows + from + r * d, d - i) : Vec{};
  }
  transpose(block);
}

template <int Q, bool kDistances>
void score_group(const float* queries, int64_t d, const float* rows, int64_t count, int64_t first,
                 float* scores) {
  Vec sums[Q] = {};
  for (int64_t i = 0; i < d; i += kLanes) {
    Vec block[kLanes];
    load_transposed(rows, count, d, first, i, block);
    const auto add = [&](int64_t j) __attribute__((always_inline)) {
      for (int query = 0; query < Q; query++) {
        const float value = queries[query * d + i + j];
        const Vec difference = value - block[j];
        if constexpr (kDistances) sums[query] -= difference * difference;
        if constexpr (!kDistances) sums[query] += value * block[j];
      }
    };
    if (i + kLanes <= d) {
#pragma GCC unroll 16
      for (int64_t j = 0; j < kLanes; j++) add(j);
    } else {
      for (int64_t j = 0; j < d - i; j++) add(j);
    }
  }
  for (int query = 0; query < Q; query++) store(scores + query * kPanelRows + first, sums[query]);
}

template <int R>
void tile(int64_t k, const float* a, int64_t a_row, int64_t a_step, const float* b, int64_t b_row,
          float* c, int64_t c_row, bool add) {
  // One pointer for three rows: an address scales its index by 1 or 2 for nothing, and a pointer
  // for each row would not fit the registers.
  constexpr int kPointers = (R + 2) / 3;
  const float* at[kPointers];
  for (int i = 0; i < kPointers; i++) at[i] = a + 3 * i * a_row;
  Vec sums[R][2] = {};
  for (int64_t q = 0; q < k; q++, b += b_row) {
    const Vec b0 = load(b), b1 = load(b + kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < R; i++) {
      const float value = at[i / 3][i % 3 * a_row];
      sums[i][0] += value * b0;
      sums[i][1] += value * b1;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kPointers; i++) at[i] += a_step;
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; i++) {
    float* row = c + i * c_row;
    store(row, add ? load(row) + sums[i][0] : sums[i][0]);
    store(row + kLanes, add ? load(row + kLanes) + sums[i][1] : sums[i][1]);
  }
}

// The last, smaller tile.
template <int R, class... Args>
void rest(int64_t rows, Args... args) {
  if constexpr (R > 0) {
    if (rows == R) return tile<R>(args...);
    rest<R - 1>(rows, args...);
  }
}

}  // namespace

namespace LOOKALIKE_ISA {

void widen(const f16* values, int64_t count, float* out) {
  int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= count; i += 16) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values + i));
    store(out + i, (Vec)_mm512_maskz_cvtph_ps(kAll, halves));
  }
#elif defined(__F16C__)
  for (; i + 8 <= count; i += 8) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(values + i));
    store(out + i, (Vec)_mm256_cvtph_ps(halves));
  }
#endif
  for (; i < count; i++) out[i] = to_float(values[i]);
}

void pack_panel(const float* rows, int64_t count, int64_t d, float* panel) {
  for (int64_t first = 0; first < kPanelRows; first += kLanes)
    for (int64_t i = 0; i < d; i += kLanes) {
      Vec block[kLanes];
      load_transposed(rows, count, d, first, i, block);
      for (int64_t j = 0; j < kLanes && i + j < d; j++)
        store(panel + (i + j) * kPanelRows + first, block[j]);
    }
}

void score_rows(const float* queries, int64_t q, int64_t d, const float* rows, int64_t count,
                bool distances, float* scores) {
  with_constant<kFewQueries>(q, [&]<int Q>() {
    for (int64_t first = 0; first < kPanelRows; first += kLanes)
      (distances ? score_group<Q, true> : score_group<Q, false>)(queries, d, rows, count, first,
                                                                 scores);
  });
}

void block_product(int64_t rows, int64_t columns, int64_t k, const float* a, int64_t a_row,
                   int64_t a_step, const float* b, int64_t b_row, float* c, int64_t c_row,
                   bool add) {
  for (int64_t j = 0; j < columns; j += kBlock) {
    int64_t i = 0;
    for (; i + kRows <= rows; i += kRows) {
      tile<kRows>(k, a + i * a_row, a_row, a_step, b + j, b_row, c + i * c_row + j, c_row, add);
    }
    rest<kRows - 1>(rows - i, k, a + i * a_row, a_row, a_step, b + j, b_row, c + i * c_row + j,
                    c_row, add);
  }
}

}  // namespace LOOKALIKE_ISA
}  // namespace lookalike::cpu
