// Step 3: a block of 32x32 threads brings tiles of 32x32 of a and b into shared memory, where each value serves 32 threads:
// global traffic falls 32 times. Now shared memory is the limit: two loads from it for each product.
#include "bench/ladders/ladder.h"
#include "kernels/gpu/kernel.h"

namespace lookalike::ladder {
namespace {

constexpr int kTile = 32;

__global__ void shared_tiles(int m, int n, int k, const float* a, const float* b, float* c) {
  LOOKALIKE_SHARED(float, tile_a, [kTile][kTile]);
  LOOKALIKE_SHARED(float, tile_b, [kTile][kTile]);
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  const int i = static_cast<int>(blockIdx.y) * kTile + y, j = static_cast<int>(blockIdx.x) * kTile + x;
  float sum = 0;
  for (int p = 0; p < k; p += kTile) {
    tile_a[y][x] = i < m && p + x < k ? a[int64_t{i} * k + p + x] : 0;
    tile_b[y][x] = p + y < k && j < n ? b[int64_t{p + y} * n + j] : 0;
    __syncthreads();
#pragma unroll
    for (int q = 0; q < kTile; q++) sum += tile_a[y][q] * tile_b[q][x];
    __syncthreads();
  }
  if (i < m && j < n) c[int64_t{i} * n + j] = sum;
}

void run(const Task& t) {
  const int m = t.sizes[0], n = t.sizes[1], k = t.sizes[2];
  const dim3 grid(gpu::ceil_divide(n, kTile), gpu::ceil_divide(m, kTile));
  gpu::launch({"shared_tiles", grid, dim3(kTile, kTile), t.stream}, shared_tiles, m, n, k, t.a, t.b, t.c);
}

[[maybe_unused]] const bool registered =
    add_step({"matmul", "03 shared tiles", "a tile in shared memory serves 32 threads", run});

}  // namespace
}  // namespace lookalike::ladder
