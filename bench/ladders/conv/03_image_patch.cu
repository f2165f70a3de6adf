// Step 3: windows overlap. The 16 windows of 4x4 neighbouring pixels hold 144 values of each channel, of which 36 differ: a block
// brings this patch of 6x6 pixels into shared memory (patch.h), where it serves all windows and 32 output channels, and where
// zeros stand around the image, so that the inner loop has no test. Global memory gives a value of x four times less often, and
// 32 of them to a warp's load instead of one. A product still takes two loads: of x from shared memory, and of w, whose lines
// serve the block's 16 warps from the L1 cache.
#include "bench/ladders/conv/copies.h"
#include "bench/ladders/conv/patch.h"

namespace lookalike::ladder {
namespace {

constexpr int kRows = 4, kColumns = 4, kChannels = 32;
using Tile = Patch<kRows, kColumns>;

__global__ void __launch_bounds__(kRows* kColumns* kChannels)
    conv_image_patch(Conv v, Tile tile, const float* x, const float* turned, float* y) {
  LOOKALIKE_DYNAMIC_SHARED(float, patch);
  const Tile::Place at = tile.place(static_cast<int>(blockIdx.x));
  const int row = static_cast<int>(threadIdx.y) / kColumns, column = static_cast<int>(threadIdx.y) % kColumns;
  const int k = static_cast<int>(blockIdx.y) * kChannels + static_cast<int>(threadIdx.x);
  float sum = 0;
  for (int c0 = 0; c0 < v.in_c; c0 += Tile::kDepth) {
    tile.load(v, x, at, c0, patch);
    __syncthreads();
    const int channels = min(Tile::kDepth, v.in_c - c0);
    for (int r = 0; r < v.kernel; r++) {
      for (int s = 0; s < v.kernel; s++) {
        const float* const from_x = patch + ((row * v.stride + r) * tile.w + column * v.stride + s) * Tile::kPitch;
        const float* const from_w = turned + ((r * v.kernel + s) * v.in_c + c0) * v.out_c + min(k, v.out_c - 1);
        for (int c = 0; c < channels; c++) sum += from_x[c] * from_w[c * v.out_c];
      }
    }
    __syncthreads();
  }
  const int p = at.p + row, q = at.q + column;
  if (p < v.out_h && q < v.out_w && k < v.out_c) y[((at.n * v.out_h + p) * v.out_w + q) * v.out_c + k] = sum;
}

void run(const Task& t) {
  const Conv v(t.sizes);
  const Tile tile(v);
  const Scratch<float> turned = turned_weights(v, t.b, t.stream);
  const dim3 grid(tile.tiles(v), gpu::ceil_divide(v.out_c, kChannels)), block(kChannels, kRows * kColumns);
  gpu::launch({"conv_image_patch", grid, block, t.stream, static_cast<size_t>(tile.bytes())}, conv_image_patch, v, tile,
              t.a, turned.get(), t.c);
}

[[maybe_unused]] const bool registered =
    add_step({"conv", "03 image patch", "windows overlap: a patch in shared memory serves them all", run});

}  // namespace
}  // namespace lookalike::ladder
