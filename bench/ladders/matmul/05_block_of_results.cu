// Step 5: each thread computes 8x8 elements: 16 values from shared memory make 64 products, a quarter of a load for each. The
// block has 128x128 results with 256 threads, so global traffic falls too. From here on the FFMA units can be the limit.
#include "bench/ladders/ladder.h"
#include "kernels/gpu/kernel.h"

namespace lookalike::ladder {
namespace {

constexpr int kTile = 128, kDepth = 8, kSide = 8, kThreads = kTile / kSide * (kTile / kSide);

__global__ void __launch_bounds__(kThreads)
    block_of_results(int m, int n, int k, const float* a, const float* b, float* c) {
  LOOKALIKE_SHARED(float, tile_a, [kTile][kDepth]);
  LOOKALIKE_SHARED(float, tile_b, [kDepth][kTile]);
  const int thread = static_cast<int>(threadIdx.x);
  const int i0 = static_cast<int>(blockIdx.y) * kTile, j0 = static_cast<int>(blockIdx.x) * kTile;
  const int row = thread / (kTile / kSide) * kSide, column = thread % (kTile / kSide) * kSide;
  float sums[kSide][kSide] = {};
  for (int p = 0; p < k; p += kDepth) {
    for (int x = thread; x < kTile * kDepth; x += kThreads) {
      const int ai = x / kDepth, ap = x % kDepth, bp = x / kTile, bj = x % kTile;
      tile_a[ai][ap] = i0 + ai < m && p + ap < k ? a[int64_t{i0 + ai} * k + p + ap] : 0;
      tile_b[bp][bj] = p + bp < k && j0 + bj < n ? b[int64_t{p + bp} * n + j0 + bj] : 0;
    }
    __syncthreads();
#pragma unroll
    for (int q = 0; q < kDepth; q++) {
      float va[kSide], vb[kSide];
#pragma unroll
      for (int r = 0; r < kSide; r++) va[r] = tile_a[row + r][q], vb[r] = tile_b[q][column + r];
#pragma unroll
      for (int r = 0; r < kSide; r++) {
#pragma unroll
        for (int s = 0; s < kSide; s++) sums[r][s] += va[r] * vb[s];
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int r = 0; r < kSide; r++) {
#pragma unroll
    for (int s = 0; s < kSide; s++) {
      if (i0 + row + r < m && j0 + column + s < n) c[int64_t{i0 + row + r} * n + j0 + column + s] = sums[r][s];
    }
  }
}

void run(const Task& t) {
  const int m = t.sizes[0], n = t.sizes[1], k = t.sizes[2];
  const dim3 grid(gpu::ceil_divide(n, kTile), gpu::ceil_divide(m, kTile));
  gpu::launch({"block_of_results", grid, dim3(kThreads), t.stream}, block_of_results, m, n, k, t.a, t.b, t.c);
}

[[maybe_unused]] const bool registered =
    add_step({"matmul", "05 block of results", "8x8 results a thread: a quarter of a load each", run});

}  // namespace
}  // namespace lookalike::ladder
