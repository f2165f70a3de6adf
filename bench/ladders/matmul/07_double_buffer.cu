// Step 7: the next tiles travel while the present ones are multiplied. Two buffers: registers take the next values from global
// memory before the products, shared memory takes them after; one barrier a step instead of two, and no wait for global memory.
#include "bench/ladders/ladder.h"
#include "kernels/gpu/kernel.h"

namespace lookalike::ladder {
namespace {

constexpr int kTile = 128, kDepth = 8, kSide = 8, kThreads = kTile / kSide * (kTile / kSide);

__device__ float4 load4(const float* from, bool valid) {
  return valid ? *reinterpret_cast<const float4*>(from) : make_float4(0, 0, 0, 0);
}

__global__ void __launch_bounds__(kThreads, 2)
    double_buffer(int m, int n, int k, const float* a, const float* b, float* c) {
  static_assert(kTile * kDepth == 4 * kThreads);                 // four values of each tile for a thread
  LOOKALIKE_SHARED(float4, tile_a, [2][kDepth][kTile / 4 + 1]);  // the transposing stores meet fewer bank conflicts
  LOOKALIKE_SHARED(float4, tile_b, [2][kDepth][kTile / 4]);
  const int thread = static_cast<int>(threadIdx.x);
  const int i0 = static_cast<int>(blockIdx.y) * kTile, j0 = static_cast<int>(blockIdx.x) * kTile;
  const int row = thread / 16 * 4, column = thread % 16 * 4;  // of the first 4x4 results; the others 64 further
  const int ai = thread / 2, ap = thread % 2 * 4, bp = thread / 32, bj = thread % 32 * 4;
  float sums[kSide][kSide] = {};
  float4 next_a, next_b;
  const float* from_a = a + int64_t{i0 + ai} * k + ap;
  const float* from_b = b + int64_t{bp} * n + j0 + bj;
  const auto load = [&](int p) {
    next_a = load4(from_a, i0 + ai < m && p + ap < k);
    next_b = load4(from_b, p + bp < k && j0 + bj < n);
    from_a += kDepth;
    from_b += int64_t{kDepth} * n;
  };
  const auto store = [&](int buffer) {
    float* const column_a = reinterpret_cast<float*>(&tile_a[buffer][ap][0]) + ai;
    constexpr int kStride = kTile + 4;
    column_a[0] = next_a.x, column_a[kStride] = next_a.y, column_a[2 * kStride] = next_a.z,
    column_a[3 * kStride] = next_a.w;
    tile_b[buffer][bp][bj / 4] = next_b;
  };
  load(0);
  store(0);
  for (int p = 0, buffer = 0; p < k; p += kDepth, buffer ^= 1) {
    __syncthreads();  // this buffer is filled, and nobody reads the other any more
    load(p + kDepth);
#pragma unroll 4
    for (int q = 0; q < kDepth; q++) {
      const float4 a0 = tile_a[buffer][q][row / 4], a1 = tile_a[buffer][q][row / 4 + 16];
      const float4 b0 = tile_b[buffer][q][column / 4], b1 = tile_b[buffer][q][column / 4 + 16];
      const float x[kSide] = {a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w};
      const float y[kSide] = {b0.x, b0.y, b0.z, b0.w, b1.x, b1.y, b1.z, b1.w};
#pragma unroll
      for (int r = 0; r < kSide; r++) {
#pragma unroll
        for (int s = 0; s < kSide; s++) sums[r][s] += x[r] * y[s];
      }
    }
    store(buffer ^ 1);
  }
#pragma unroll
  for (int r = 0; r < kSide; r++) {
    const int i = i0 + row + r % 4 + r / 4 * 64;
#pragma unroll
    for (int s = 0; s < kSide; s += 4) {
      const int j = j0 + column + s / 4 * 64;
      if (i < m && j < n) {
        *reinterpret_cast<float4*>(c + int64_t{i} * n + j) =
            make_float4(sums[r][s], sums[r][s + 1], sums[r][s + 2], sums[r][s + 3]);
      }
    }
  }
}

void run(const Task& t) {
  const int m = t.sizes[0], n = t.sizes[1], k = t.sizes[2];
  const dim3 grid(gpu::ceil_divide(n, kTile), gpu::ceil_divide(m, kTile));
  gpu::launch({"double_buffer", grid, dim3(kThreads), t.stream}, double_buffer, m, n, k, t.a, t.b, t.c);
}

[[maybe_unused]] const bool registered =
    add_step({"matmul", "07 double buffer", "the next tiles travel during the products", run});

}  // namespace
}  // namespace lookalike::ladder
