// Step 9: the same tiles on tensor cores. A warp multiplies 16x8 by 8x8 values with one instruction, 1024 products instead of 32,
// on operands rounded to tf32 (10 bits of mantissa). 64x64 results a block, 32x32 a warp; still simple: one buffer, 4-byte loads
// from shared memory, whose rows are padded so that the 32 lanes of a fragment fall on 32 banks.
#include "bench/ladders/ladder.h"
#include "kernels/gpu/mma.h"

namespace lookalike::ladder {
namespace {

constexpr int kTile = 64, kDepth = 16, kThreads = 128;

__global__ void __launch_bounds__(kThreads)
    tensor_cores(int m, int n, int k, const float* a, const float* b, float* c) {
  LOOKALIKE_SHARED(float, tile_a, [kTile][kDepth + 4]);
  LOOKALIKE_SHARED(float, tile_b, [kDepth][kTile + 8]);
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32;
  const int group = thread % 32 / 4, place = thread % 4;  // mma.h
  const int i0 = static_cast<int>(blockIdx.y) * kTile, j0 = static_cast<int>(blockIdx.x) * kTile;
  const int row = warp / 2 * 32, column = warp % 2 * 32;
  float sums[2][4][4] = {};
  for (int p = 0; p < k; p += kDepth) {
#pragma unroll
    for (int x = thread; x < kTile * kDepth; x += kThreads) {
      const int ai = x / kDepth, ap = x % kDepth, bp = x / kTile, bj = x % kTile;
      tile_a[ai][ap] = i0 + ai < m && p + ap < k ? a[int64_t{i0 + ai} * k + p + ap] : 0;
      tile_b[bp][bj] = p + bp < k && j0 + bj < n ? b[int64_t{p + bp} * n + j0 + bj] : 0;
    }
    __syncthreads();
#pragma unroll
    for (int q = 0; q < kDepth; q += 8) {
      uint32_t va[2][4], vb[4][2];
#pragma unroll
      for (int r = 0; r < 2; r++) {
#pragma unroll
        for (int x = 0; x < 4; x++) {
          va[r][x] = gpu::to_tf32(tile_a[row + 16 * r + group + x % 2 * 8][q + place + x / 2 * 4]);
        }
      }
#pragma unroll
      for (int s = 0; s < 4; s++) {
#pragma unroll
        for (int x = 0; x < 2; x++) vb[s][x] = gpu::to_tf32(tile_b[q + place + 4 * x][column + 8 * s + group]);
      }
#pragma unroll
      for (int r = 0; r < 2; r++) {
#pragma unroll
        for (int s = 0; s < 4; s++) gpu::mma_tf32(sums[r][s], va[r], vb[s]);
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int r = 0; r < 2; r++) {
#pragma unroll
    for (int s = 0; s < 4; s++) {
#pragma unroll
      for (int x = 0; x < 4; x++) {
        const int i = i0 + row + 16 * r + group + x / 2 * 8, j = j0 + column + 8 * s + 2 * place + x % 2;
        if (i < m && j < n) c[int64_t{i} * n + j] = sums[r][s][x];
      }
    }
  }
}

void run(const Task& t) {
  const int m = t.sizes[0], n = t.sizes[1], k = t.sizes[2];
  const dim3 grid(gpu::ceil_divide(n, kTile), gpu::ceil_divide(m, kTile));
  gpu::launch({"tensor_cores", grid, dim3(kThreads), t.stream}, tensor_cores, m, n, k, t.a, t.b, t.c);
}

[[maybe_unused]] const bool registered = add_step(
    {.ladder = "matmul", .name = "09 tensor cores", .idea = "mma.sync m16n8k8 in tf32", .run = run, .tolerance = 1e-3});

}  // namespace
}  // namespace lookalike::ladder
