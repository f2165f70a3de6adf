#include "kernels/matmul_tile.h"

#include "kernels/simd.h"

namespace lookalike::cpu {
namespace {

void pack(const float* b, int64_t row, int64_t depth, int64_t count, float* panel) {
  for (int64_t l = 0; l < depth; l++, b += row, panel += kBlock) {
    if (count >= kBlock)
      store(panel, load(b)), store(panel + kLanes, load(b + kLanes));
    else
      for (int64_t j = 0; j < kBlock; j++) panel[j] = j < count ? b[j] : 0;
  }
}

void pack_transposed(const float* b, int64_t row, int64_t depth, int64_t count, float* panel) {
  int64_t l = 0;
  if (count >= kBlock)
    for (; l + kLanes <= depth; l += kLanes)
      for (int64_t j = 0; j < kBlock; j += kLanes) {
        Vec rows[kLanes];
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; i++) rows[i] = load(b + (j + i) * row + l);
        transpose(rows);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; i++) store(panel + (l + i) * kBlock + j, rows[i]);
      }
  for (; l < depth; l++)
    for (int64_t j = 0; j < kBlock; j++) panel[l * kBlock + j] = j < count ? b[j * row + l] : 0;
}

template <int T>
void multiply_tile(int64_t depth, const float* a, int64_t a_row, int64_t a_step, const float* panel, float* c,
                   int64_t c_row, bool accumulate) {
  Vec sums[T][2] = {};
  if (accumulate) {
#pragma GCC unroll 16
    for (int i = 0; i < T; i++) sums[i][0] = load(c + i * c_row), sums[i][1] = load(c + i * c_row + kLanes);
  }
  for (int64_t l = 0; l < depth; l++, a += a_step, panel += kBlock) {
    const Vec b0 = load(panel), b1 = load(panel + kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < T; i++) {
      const float value = a[i * a_row];
      sums[i][0] += value * b0, sums[i][1] += value * b1;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < T; i++) store(c + i * c_row, sums[i][0]), store(c + i * c_row + kLanes, sums[i][1]);
}

void multiply(int64_t m, int64_t depth, const float* a, int64_t a_row, int64_t a_step, const float* panel, float* c,
              int64_t c_row, int64_t count, bool accumulate) {
  for_tiles(m, [&]<int T>(int64_t first) {
    const float* from = a + first * a_row;
    float* to = c + first * c_row;
    if (count >= kBlock) return multiply_tile<T>(depth, from, a_row, a_step, panel, to, c_row, accumulate);
    float whole[T * kBlock];
    multiply_tile<T>(depth, from, a_row, a_step, panel, whole, kBlock, false);
    for (int64_t i = 0; i < T; i++)
      for (int64_t j = 0; j < count; j++)
        to[i * c_row + j] = whole[i * kBlock + j] + (accumulate ? to[i * c_row + j] : 0);
  });
}

}  // namespace

namespace LOOKALIKE_ISA {
const MatmulTiles kMatmulTiles{kBlock, pack, pack_transposed, multiply};
}
}  // namespace lookalike::cpu
