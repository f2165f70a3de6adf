// The second halves of losses over listed pairs: gradients gathered from the list, and sums over it. Two launches make a
// loss: one that goes over the list, leaves a weight for each pair and one DistanceSums for each block; and
// finish_pairs(), which turns these into the gradient and the total. Every sum has a fixed order.
#pragma once

#include <algorithm>

#include "kernels/contrastive.h"
#include "kernels/gpu/reduce.h"

namespace lookalike::gpu {

// Blocks that go over a list, a warp for each entry in turn.
constexpr int kListThreads = 256;
constexpr int64_t kListBlocks = 512;
inline int64_t list_blocks(int64_t count) {
  return std::min(kListBlocks, ceil_divide<int64_t>(count, kListThreads / kWarp));
}
// Floats that their sums take.
inline int64_t list_sums_floats(int64_t count) {
  return list_blocks(count) * static_cast<int64_t>(sizeof(DistanceSums) / sizeof(float));
}

// The sums of a block of kListThreads threads.
__device__ inline void store_block_sums(double loss, int64_t active, double positive, double negative,
                                        DistanceSums* to) {
  loss = block_sum<kListThreads>(loss), active = block_sum<kListThreads>(active);
  positive = block_sum<kListThreads>(positive), negative = block_sum<kListThreads>(negative);
  if (threadIdx.x > 0) return;
  to->loss = loss, to->active = active, to->positive_distance = positive, to->negative_distance = negative;
}

// One block adds up the sums of all, and *loss = scale * the sum.
__device__ inline void add_block_sums(const DistanceSums* parts, int64_t count, double scale, float* loss,
                                      DistanceSums* sums) {
  double total = 0, positive = 0, negative = 0;
  int64_t active = 0;
  for (int64_t i = threadIdx.x; i < count; i += kListThreads) {
    total += parts[i].loss, active += parts[i].active;
    positive += parts[i].positive_distance, negative += parts[i].negative_distance;
  }
  store_block_sums(total, active, positive, negative, sums);
  if (threadIdx.x == 0) *loss = static_cast<float>(scale * sums->loss);
}

// A warp's ||a - b||^2, in every lane; the same bits for (a, b) and (b, a).
__device__ inline float warp_distance(const float* a, const float* b, int64_t d) {
  float sum = 0;
  for (int64_t k = threadIdx.x % kWarp; k < d; k += kWarp) sum = fmaf(a[k] - b[k], a[k] - b[k], sum);
  return warp_sum(sum);
}

// Rows of the gradient that a warp gathers, and columns of them.
constexpr int kGatherRows = 4, kGatherColumns = 4 * kWarp;

// de_r = sum over the pairs that name r, in the order of the list, of w (e_r - e_other). Every warp looks through the whole
// list for its four rows: m / 4 * count comparisons of 8 bytes each from the cache, where a sort by row would take several
// launches; with count = 2 m a fraction 1 / (2 d) of the arithmetic of all distances.
// The last block in x adds up the sums.
static __global__ void finish_pairs_kernel(const float* e, int64_t m, int64_t d, const RowPair* pairs,
                                           const float* weights, int64_t count, float* de, const DistanceSums* parts,
                                           int64_t part_count, double scale, float* loss, DistanceSums* sums) {
  if (blockIdx.x == gridDim.x - 1) {
    if (blockIdx.y == 0) add_block_sums(parts, part_count, scale, loss, sums);
    return;
  }
  const int lane = threadIdx.x % kWarp;
  const int64_t first = (int64_t{blockIdx.x} * (kListThreads / kWarp) + threadIdx.x / kWarp) * kGatherRows;
  const int64_t column = int64_t{blockIdx.y} * kGatherColumns + lane;
  float own[kGatherRows][4], gradient[kGatherRows][4];
#pragma unroll
  for (int r = 0; r < kGatherRows; r++) {
#pragma unroll
    for (int c = 0; c < 4; c++) {
      own[r][c] = first + r < m && column + c * kWarp < d ? e[(first + r) * d + column + c * kWarp] : 0;
      gradient[r][c] = 0;
    }
  }
  for (int64_t begin = 0; begin < count; begin += kWarp) {
    int i = -1, j = -1;
    if (begin + lane < count) i = pairs[begin + lane].i, j = pairs[begin + lane].j;
    const auto ours = [first](int row) { return static_cast<uint64_t>(row - first) < kGatherRows; };
    for (unsigned hits = __ballot_sync(kAllLanes, ours(i) || ours(j)); hits != 0; hits &= hits - 1) {
      const int source = __ffs(static_cast<int>(hits)) - 1;
      const float weight = weights[begin + source];
      if (weight == 0) continue;
      const int ends[2] = {__shfl_sync(kAllLanes, i, source), __shfl_sync(kAllLanes, j, source)};
#pragma unroll
      for (int side = 0; side < 2; side++) {
        if (!ours(ends[side])) continue;
        const float* other = e + int64_t{ends[1 - side]} * d;
        float values[4];
#pragma unroll
        for (int c = 0; c < 4; c++) values[c] = column + c * kWarp < d ? other[column + c * kWarp] : 0;
#pragma unroll
        for (int r = 0; r < kGatherRows; r++) {
          if (ends[side] != first + r) continue;
#pragma unroll
          for (int c = 0; c < 4; c++) gradient[r][c] = fmaf(weight, own[r][c] - values[c], gradient[r][c]);
        }
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kGatherRows; r++) {
#pragma unroll
    for (int c = 0; c < 4; c++) {
      if (first + r < m && column + c * kWarp < d) de[(first + r) * d + column + c * kWarp] = gradient[r][c];
    }
  }
}

inline void finish_pairs(const char* name, const float* e, int64_t m, int64_t d, const RowPair* pairs,
                         const float* weights, int64_t count, float* de, const DistanceSums* parts, int64_t part_count,
                         double scale, float* loss, DistanceSums* sums, Stream stream) {
  const int64_t rows = kListThreads / kWarp * kGatherRows;
  const dim3 grid(static_cast<unsigned>(ceil_divide(m, rows) + 1),
                  static_cast<unsigned>(std::max<int64_t>(1, ceil_divide<int64_t>(d, kGatherColumns))));
  launch({name, grid, dim3(kListThreads), stream}, finish_pairs_kernel, e, m, d, pairs, weights, count, de, parts,
         part_count, scale, loss, sums);
}

}  // namespace lookalike::gpu
