// Step 4: each thread computes 8 pixels of a row times 4 output channels: 8 values of the patch and 4 weights make 32 products,
// three eighths of a load for each instead of two. A block of 128 threads has 8x8 pixels and 64 channels.
#include "bench/ladders/conv/copies.h"
#include "bench/ladders/conv/patch.h"

namespace lookalike::ladder {
namespace {

constexpr int kRows = 8, kColumns = 8, kSide = 4, kLanes = 16, kChannels = kSide * kLanes;
using Tile = Patch<kRows, kColumns>;

__global__ void __launch_bounds__(kLanes* kRows)
    conv_block_of_results(Conv v, Tile tile, const float* x, const float* turned, float* y) {
  LOOKALIKE_DYNAMIC_SHARED(float, patch);
  const Tile::Place at = tile.place(static_cast<int>(blockIdx.x));
  const int row = static_cast<int>(threadIdx.y);
  const int k = static_cast<int>(blockIdx.y) * kChannels + static_cast<int>(threadIdx.x);  // the others kLanes further
  float sums[kColumns][kSide] = {};
  for (int c0 = 0; c0 < v.in_c; c0 += Tile::kDepth) {
    tile.load(v, x, at, c0, patch);
    __syncthreads();
    const int channels = min(Tile::kDepth, v.in_c - c0);
    for (int r = 0; r < v.kernel; r++) {
      for (int s = 0; s < v.kernel; s++) {
        const float* const from_x = patch + ((row * v.stride + r) * tile.w + s) * Tile::kPitch;
        const float* const from_w = turned + ((r * v.kernel + s) * v.in_c + c0) * v.out_c;
#pragma unroll 4
        for (int c = 0; c < channels; c++) {
          float vx[kColumns], vw[kSide];
#pragma unroll
          for (int i = 0; i < kColumns; i++) vx[i] = from_x[i * v.stride * Tile::kPitch + c];
#pragma unroll
          for (int j = 0; j < kSide; j++) vw[j] = from_w[c * v.out_c + min(k + j * kLanes, v.out_c - 1)];
#pragma unroll
          for (int i = 0; i < kColumns; i++) {
#pragma unroll
            for (int j = 0; j < kSide; j++) sums[i][j] += vx[i] * vw[j];
          }
        }
      }
    }
    __syncthreads();
  }
  const int p = at.p + row;
#pragma unroll
  for (int i = 0; i < kColumns; i++) {
    const int q = at.q + i;
#pragma unroll
    for (int j = 0; j < kSide; j++) {
      const int channel = k + j * kLanes;
      if (p < v.out_h && q < v.out_w && channel < v.out_c)
        y[((at.n * v.out_h + p) * v.out_w + q) * v.out_c + channel] = sums[i][j];
    }
  }
}

void run(const Task& t) {
  const Conv v(t.sizes);
  const Tile tile(v);
  const Scratch<float> turned = turned_weights(v, t.b, t.stream);
  const dim3 grid(tile.tiles(v), gpu::ceil_divide(v.out_c, kChannels)), block(kLanes, kRows);
  gpu::launch({"conv_block_of_results", grid, block, t.stream, static_cast<size_t>(tile.bytes())},
              conv_block_of_results, v, tile, t.a, turned.get(), t.c);
}

[[maybe_unused]] const bool registered =
    add_step({"conv", "04 block of results", "8 pixels x 4 channels a thread: 3/8 of a load each", run});

}  // namespace
}  // namespace lookalike::ladder
