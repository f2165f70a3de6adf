// Step 5: convolution as a matrix product, y[pixel, k] = x[pixel, (r,s,c)] w[k, (r,s,c)], whose left matrix is gathered from the
// image while its tiles are loaded. Pixels of the whole batch are one dimension: tiles of 8x8 pixels on images of 28x28 waste 23 % of
// the products, here only the last tile is not full. One loop of constant steps serves every kernel, and its addresses in shared
// memory are constants. w is loaded along the depth, as it lies. A thread's 8x8 results take a quarter of a load each.
//   Index arithmetic: for 512 products a thread loads 8 values of x. Pixel and tap of each would be four divisions of some 20
// instructions, more than the products; so a thread loads always the same pixels, and one tap at a time (window.h): an addition.
#include "bench/ladders/conv/window.h"

namespace lookalike::ladder {
namespace {

constexpr int kPixels = 128, kChannels = 64, kDepth = 8, kSide = 8, kThreads = 128;
constexpr int kStep = kThreads / kDepth;  // rows of a tile that the block loads at a time

__global__ void __launch_bounds__(kThreads) conv_implicit_product(Conv v, const float* x, const float* w, float* y) {
  LOOKALIKE_SHARED(float, tile_x, [kPixels][kDepth + 1]);  // odd rows: neighbours fall on different banks
  LOOKALIKE_SHARED(float, tile_w, [kChannels][kDepth + 1]);
  const int thread = static_cast<int>(threadIdx.x);
  const int pixel0 = static_cast<int>(blockIdx.x) * kPixels, channel0 = static_cast<int>(blockIdx.y) * kChannels;
  // What the thread loads. Pixels and channels beyond the last are the last again, and their results are not stored.
  const int lane = thread % kDepth, first = thread / kDepth;
  Window windows[kPixels / kStep];
#pragma unroll
  for (int i = 0; i < kPixels / kStep; i++) windows[i] = window_of(v, min(pixel0 + first + i * kStep, v.pixels - 1));
  Tap tap;
  tap.advance(v, lane);
  // Its results: pixels `row`, row + 16 ..., channels `column`, column + 8 ...
  const int row = thread / 8, column = thread % 8;
  float sums[kSide][kSide] = {};
  for (int d = 0; d < v.depth; d += kDepth) {
    const int offset = tap.offset(v);
#pragma unroll
    for (int i = 0; i < kPixels / kStep; i++) {
      tile_x[first + i * kStep][lane] = tap.inside(v, windows[i]) ? x[windows[i].offset + offset] : 0;
    }
#pragma unroll
    for (int i = 0; i < kChannels / kStep; i++) {
      const int channel = min(channel0 + first + i * kStep, v.out_c - 1);
      tile_w[first + i * kStep][lane] = tap.exists(v) ? w[channel * v.depth + d + lane] : 0;
    }
    tap.advance(v, kDepth);
    __syncthreads();
#pragma unroll
    for (int e = 0; e < kDepth; e++) {
      float vx[kSide], vw[kSide];
#pragma unroll
      for (int i = 0; i < kSide; i++) vx[i] = tile_x[row + 16 * i][e], vw[i] = tile_w[column + 8 * i][e];
#pragma unroll
      for (int i = 0; i < kSide; i++) {
#pragma unroll
        for (int j = 0; j < kSide; j++) sums[i][j] += vx[i] * vw[j];
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kSide; i++) {
    const int pixel = pixel0 + row + 16 * i;
#pragma unroll
    for (int j = 0; j < kSide; j++) {
      const int channel = channel0 + column + 8 * j;
      if (pixel < v.pixels && channel < v.out_c) y[pixel * v.out_c + channel] = sums[i][j];
    }
  }
}

void run(const Task& t) {
  const Conv v(t.sizes);
  const dim3 grid(gpu::ceil_divide(v.pixels, kPixels), gpu::ceil_divide(v.out_c, kChannels));
  gpu::launch({"conv_implicit_product", grid, dim3(kThreads), t.stream}, conv_implicit_product, v, t.a, t.b, t.c);
}

[[maybe_unused]] const bool registered =
    add_step({"conv", "05 implicit product", "pixels x (r,s,c) x channels, gathered while loaded", run});

}  // namespace
}  // namespace lookalike::ladder
