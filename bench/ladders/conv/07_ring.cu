// Step 7: the next tiles travel while the present ones are multiplied. cp.async copies 16 bytes from global to shared memory without
// registers and without waiting, and writes zeros where the image has nothing; a ring of three buffers of 15 KiB keeps two steps
// under way, and one barrier a step is enough: it says both that this step's tiles are there and that the oldest buffer is free.
#include "bench/ladders/conv/copies.h"
#include "bench/ladders/conv/window.h"
#include "kernels/gpu/copy.h"

namespace lookalike::ladder {
namespace {

constexpr int kPixels = 128, kChannels = 64, kDepth = 16, kSide = 8, kThreads = 128, kStages = 3;
constexpr int kGroups = kDepth / 4, kStep = kThreads / kGroups;

__global__ void __launch_bounds__(kThreads) conv_ring(Conv v, const float* x, const float* w, float* y) {
  LOOKALIKE_SHARED(float4, tile_x, [kStages][kPixels][kGroups + 1]);
  LOOKALIKE_SHARED(float4, tile_w, [kStages][kChannels][kGroups + 1]);
  const int thread = static_cast<int>(threadIdx.x), group = thread % kGroups, first = thread / kGroups;
  const int pixel0 = static_cast<int>(blockIdx.x) * kPixels, channel0 = static_cast<int>(blockIdx.y) * kChannels;
  Window windows[kPixels / kStep];
#pragma unroll
  for (int i = 0; i < kPixels / kStep; i++) windows[i] = window_of(v, min(pixel0 + first + i * kStep, v.pixels - 1));
  Tap tap;
  tap.advance(v, 4 * group);
  // Each call is one group of copies, even if there is nothing left.
  const auto start = [&](int d, int stage) {
    if (d < v.depth) {
      const int offset = tap.offset(v);
#pragma unroll
      for (int i = 0; i < kPixels / kStep; i++) {
        gpu::cp_async<16>(&tile_x[stage][first + i * kStep][group], x + windows[i].offset + offset,
                          tap.inside(v, windows[i]));
      }
#pragma unroll
      for (int i = 0; i < kChannels / kStep; i++) {
        const int channel = min(channel0 + first + i * kStep, v.out_c - 1);
        gpu::cp_async<16>(&tile_w[stage][first + i * kStep][group], w + channel * v.depth + d + 4 * group,
                          tap.exists(v));
      }
      tap.advance(v, kDepth);
    }
    gpu::cp_async_commit();
  };
  const int row = thread / 8, column = thread % 8;
  float sums[kSide][kSide] = {};
  start(0, 0);
  start(kDepth, 1);
  for (int d = 0, stage = 0; d < v.depth; d += kDepth, stage = (stage + 1) % kStages) {
    gpu::cp_async_wait<1>();
    __syncthreads();
    start(d + 2 * kDepth, (stage + 2) % kStages);
#pragma unroll 1
    for (int g = 0; g < kGroups; g++) {
      float4 vx[kSide];
#pragma unroll
      for (int i = 0; i < kSide; i++) vx[i] = tile_x[stage][row + 16 * i][g];
#pragma unroll
      for (int j = 0; j < kSide; j++) {
        const float4 vw = tile_w[stage][column + 8 * j][g];
#pragma unroll
        for (int i = 0; i < kSide; i++) {
          sums[i][j] += vx[i].x * vw.x;
          sums[i][j] += vx[i].y * vw.y;
          sums[i][j] += vx[i].z * vw.z;
          sums[i][j] += vx[i].w * vw.w;
        }
      }
    }
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
  gpu::launch({"conv_ring", grid, dim3(kThreads), t.stream}, conv_ring, v, padded.x, padded.w, t.c);
}

[[maybe_unused]] const bool registered =
    add_step({"conv", "07 ring", "cp.async into three buffers: the next tiles travel during the products", run});

}  // namespace
}  // namespace lookalike::ladder
