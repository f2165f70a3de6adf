// Step 9: the tiles of step 6 on tensor cores. A warp multiplies 16 pixels, 8 channels and 8 depths with one instruction, 1024 products
// instead of 32, on operands rounded to tf32 (10 bits of mantissa). A warp has 64x32 results: 24 loads of 4 bytes from shared
// memory for 16 such instructions. Rows of 20 floats put the 8 rows x 4 depths of a fragment on 32 banks.
#include "bench/ladders/conv/copies.h"
#include "bench/ladders/conv/window.h"
#include "kernels/gpu/mma.h"

namespace lookalike::ladder {
namespace {

constexpr int kPixels = 128, kChannels = 64, kDepth = 16, kThreads = 128;
constexpr int kGroups = kDepth / 4, kStep = kThreads / kGroups;

__device__ float4 load4(const float* from, bool valid) {
  return valid ? *reinterpret_cast<const float4*>(from) : make_float4(0, 0, 0, 0);
}

__global__ void __launch_bounds__(kThreads) conv_tensor_cores(Conv v, const float* x, const float* w, float* y) {
  LOOKALIKE_SHARED(float4, tile_x, [kPixels][kGroups + 1]);
  LOOKALIKE_SHARED(float4, tile_w, [kChannels][kGroups + 1]);
  const int thread = static_cast<int>(threadIdx.x), group = thread % kGroups, first = thread / kGroups;
  const int pixel0 = static_cast<int>(blockIdx.x) * kPixels, channel0 = static_cast<int>(blockIdx.y) * kChannels;
  Window windows[kPixels / kStep];
#pragma unroll
  for (int i = 0; i < kPixels / kStep; i++) windows[i] = window_of(v, min(pixel0 + first + i * kStep, v.pixels - 1));
  Tap tap;
  tap.advance(v, 4 * group);
  const int warp = thread / gpu::kWarp, row = warp % 2 * 64, column = warp / 2 * 32;  // of the warp's results
  const int lane_row = thread % gpu::kWarp / 4, place = thread % 4;                   // "group" and place of mma.h
  const auto tf32 = [](const float4* tile_row, int depth) {
    return gpu::to_tf32(reinterpret_cast<const float*>(tile_row)[depth]);
  };
  float sums[4][4][4] = {};
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
#pragma unroll
    for (int e = 0; e < kDepth; e += 8) {
      uint32_t vx[4][4], vw[4][2];
#pragma unroll
      for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int u = 0; u < 4; u++) vx[i][u] = tf32(tile_x[row + 16 * i + lane_row + u % 2 * 8], e + place + u / 2 * 4);
#pragma unroll
        for (int u = 0; u < 2; u++) vw[i][u] = tf32(tile_w[column + 8 * i + lane_row], e + place + u * 4);
      }
#pragma unroll
      for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) gpu::mma_tf32(sums[i][j], vx[i], vw[j]);
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
#pragma unroll
      for (int u = 0; u < 4; u++) {
        const int pixel = pixel0 + row + 16 * i + lane_row + u / 2 * 8;
        const int channel = channel0 + column + 8 * j + 2 * place + u % 2;
        if (pixel < v.pixels && channel < v.out_c) y[pixel * v.out_c + channel] = sums[i][j][u];
      }
    }
  }
}

void run(const Task& t) {
  const Padded padded = padded_channels(t);
  const Conv& v = padded.v;
  const dim3 grid(gpu::ceil_divide(v.pixels, kPixels), gpu::ceil_divide(v.out_c, kChannels));
  gpu::launch({"conv_tensor_cores", grid, dim3(kThreads), t.stream}, conv_tensor_cores, v, padded.x, padded.w, t.c);
}

[[maybe_unused]] const bool registered = add_step(
    {.ladder = "conv", .name = "09 tensor cores", .idea = "mma.sync m16n8k8 in tf32", .run = run, .tolerance = 1e-3});

}  // namespace
}  // namespace lookalike::ladder
