// Step 4: each thread computes 8 elements of one column: a value of b, once in a register, is used 8 times, so that a product
// costs little more than one load from shared memory instead of two. 64x64 results a block, 512 threads, 8 deep.
#include "bench/ladders/ladder.h"
#include "kernels/gpu/kernel.h"

namespace lookalike::ladder {
namespace {

constexpr int kTile = 64, kDepth = 8, kResults = 8, kThreads = kTile * kTile / kResults;

__global__ void column_of_results(int m, int n, int k, const float* a, const float* b, float* c) {
  LOOKALIKE_SHARED(float, tile_a, [kTile][kDepth]);
  LOOKALIKE_SHARED(float, tile_b, [kDepth][kTile]);
  static_assert(kThreads == kTile * kDepth);  // one value of each tile for a thread
  const int thread = static_cast<int>(threadIdx.x);
  const int i0 = static_cast<int>(blockIdx.y) * kTile, j0 = static_cast<int>(blockIdx.x) * kTile;
  const int row = thread / kTile * kResults, column = thread % kTile;  // of the thread's results
  float sums[kResults] = {};
  for (int p = 0; p < k; p += kDepth) {
    const int ai = thread / kDepth, ap = thread % kDepth, bp = thread / kTile, bj = thread % kTile;
    tile_a[ai][ap] = i0 + ai < m && p + ap < k ? a[int64_t{i0 + ai} * k + p + ap] : 0;
    tile_b[bp][bj] = p + bp < k && j0 + bj < n ? b[int64_t{p + bp} * n + j0 + bj] : 0;
    __syncthreads();
#pragma unroll
    for (int q = 0; q < kDepth; q++) {
      const float vb = tile_b[q][column];
#pragma unroll
      for (int r = 0; r < kResults; r++) sums[r] += tile_a[row + r][q] * vb;
    }
    __syncthreads();
  }
#pragma unroll
  for (int r = 0; r < kResults; r++) {
    if (i0 + row + r < m && j0 + column < n) c[int64_t{i0 + row + r} * n + j0 + column] = sums[r];
  }
}

void run(const Task& t) {
  const int m = t.sizes[0], n = t.sizes[1], k = t.sizes[2];
  const dim3 grid(gpu::ceil_divide(n, kTile), gpu::ceil_divide(m, kTile));
  gpu::launch({"column_of_results", grid, dim3(kThreads), t.stream}, column_of_results, m, n, k, t.a, t.b, t.c);
}

[[maybe_unused]] const bool registered =
    add_step({"matmul", "04 column of results", "8 results a thread share a value of b", run});

}  // namespace
}  // namespace lookalike::ladder
