// Register tiles of similarity.h: kRows broadcast values times two vectors, so that all sums of a tile stay in
// registers over the whole reduction. Compiled once for each instruction set.
#include "kernels/similarity.h"

namespace lookalike::cpu::LOOKALIKE_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRows = 12;  // 24 sums in 32 registers
#elif defined(__AVX2__)
constexpr int kLanes = 8, kRows = 6;  // 12 sums in 16 registers
#else
constexpr int kLanes = 4, kRows = 6;
#endif
constexpr int kColumns = 2 * kLanes;
typedef float Vec __attribute__((vector_size(kLanes * sizeof(float)), aligned(sizeof(float)), may_alias));

static_assert(kPanelRows % kColumns == 0);

Vec load(const float* p) {
  return *reinterpret_cast<const Vec*>(p);
}
void store(float* p, Vec v) {
  *reinterpret_cast<Vec*>(p) = v;
}

template <int R>
void tile(int64_t k, const float* a, int64_t a_row, int64_t a_step, const float* b, int64_t b_row, float* c,
          int64_t c_row, bool add) {
  // One pointer for three rows: an address scales its index by 1 or 2 for nothing, and a pointer for each row would not
  // fit the registers.
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

void block_product(int64_t rows, int64_t columns, int64_t k, const float* a, int64_t a_row, int64_t a_step,
                   const float* b, int64_t b_row, float* c, int64_t c_row, bool add) {
  for (int64_t j = 0; j < columns; j += kColumns) {
    int64_t i = 0;
    for (; i + kRows <= rows; i += kRows) {
      tile<kRows>(k, a + i * a_row, a_row, a_step, b + j, b_row, c + i * c_row + j, c_row, add);
    }
    rest<kRows - 1>(rows - i, k, a + i * a_row, a_row, a_step, b + j, b_row, c + i * c_row + j, c_row, add);
  }
}

}  // namespace lookalike::cpu::LOOKALIKE_ISA
