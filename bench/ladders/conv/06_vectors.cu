// Step 6: 16-byte loads along the channels, the one direction in which neighbours in memory are neighbours in the depth, in x as in
// w. Tiles are loaded and read four depths at a time: 16 loads from shared memory for 256 products instead of 64. Four channels
// must belong to one tap and be aligned, so where c is no multiple of 4, x and w are copied with zeros added (copies.h).
#include "bench/ladders/conv/copies.h"
#include "bench/ladders/conv/window.h"

namespace lookalike::ladder {
namespace {

constexpr int kPixels = 128, kChannels = 64, kDepth = 16, kSide = 8, kThreads = 128;
constexpr int kGroups = kDepth / 4, kStep = kThreads / kGroups;  // rows of a tile that the block loads at a time

__device__ float4 load4(const float* from, bool valid) {
  return valid ? *reinterpret_cast<const float4*>(from) : make_float4(0, 0, 0, 0);
}

__global__ void __launch_bounds__(kThreads) conv_vectors(Conv v, const float* x, const float* w, float* y) {
  LOOKALIKE_SHARED(float4,
                   tile_x, [kPixels][kGroups + 1]);  // rows of 5 times 16 bytes: eight neighbours fall on 32 banks
  LOOKALIKE_SHARED(float4, tile_w, [kChannels][kGroups + 1]);
  const int thread = static_cast<int>(threadIdx.x), group = thread % kGroups, first = thread / kGroups;
  const int pixel0 = static_cast<int>(blockIdx.x) * kPixels, channel0 = static_cast<int>(blockIdx.y) * kChannels;
  Window windows[kPixels / kStep];
#pragma unroll
  for (int i = 0; i < kPixels / kStep; i++) windows[i] = window_of(v, min(pixel0 + first + i * kStep, v.pixels - 1));
  Tap tap;
  tap.advance(v, 4 * group);
  const int row = thread / 8, column = thread % 8;
  float sums[kSide][kSide] = {};
  for (int d = 0; d < v.depth; d += kDepth) {
    const int offset = tap.offset(v);
#pragma unroll
    for (int i = 0; i < kPixels / kStep; i++) {
      tile_x[first + i * kStep][group] = load4(x + windows[i].offset + offset, tap.inside(v, windows[i]));
    }
#pragma unroll
    for (int i = 0; i < kChannels / kStep; i++) {
      const int channel = min(channel0 + first + i * kStep, v.out_c - 1);
      tile_w[first + i * kStep][group] = load4(w + channel * v.depth + d + 4 * group, tap.exists(v));
    }
    tap.advance(v, kDepth);
    __syncthreads();
#pragma unroll 1  // more would keep more values in registers than there are
    for (int g = 0; g < kGroups; g++) {
      float4 vx[kSide];
#pragma unroll
      for (int i = 0; i < kSide; i++) vx[i] = tile_x[row + 16 * i][g];
#pragma unroll
      for (int j = 0; j < kSide; j++) {
        const float4 vw = tile_w[column + 8 * j][g];
#pragma unroll
        for (int i = 0; i < kSide; i++) {
          sums[i][j] += vx[i].x * vw.x;
          sums[i][j] += vx[i].y * vw.y;
          sums[i][j] += vx[i].z * vw.z;
          sums[i][j] += vx[i].w * vw.w;
        }
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
  const Padded padded = padded_channels(t);
  const Conv& v = padded.v;
  const dim3 grid(gpu::ceil_divide(v.pixels, kPixels), gpu::ceil_divide(v.out_c, kChannels));
  gpu::launch({"conv_vectors", grid, dim3(kThreads), t.stream}, conv_vectors, v, padded.x, padded.w, t.c);
}

[[maybe_unused]] const bool registered =
    add_step({"conv", "06 vectors", "16-byte loads along the channels, from both memories", run});

}  // namespace
}  // namespace lookalike::ladder
