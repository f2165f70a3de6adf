// The part of an image that a tile of kRows x kColumns pixels of y is made from: the pixels under the tile and a halo as wide as
// the kernel asks for. In shared memory [h][w][kPitch], kDepth channels at a time; where the image ends it holds zeros.
#pragma once

#include "bench/ladders/conv/conv.h"
#include "kernels/gpu/kernel.h"

namespace lookalike::ladder {

template <int kRows, int kColumns>
struct Patch {
  static constexpr int kDepth = 16, kPitch = kDepth + 1;  // odd, so that pixels fall on different banks
  int h, w;
  int tiles_h, tiles_w;  // of an image

  explicit Patch(const Conv& v)
      : h((kRows - 1) * v.stride + v.kernel),
        w((kColumns - 1) * v.stride + v.kernel),
        tiles_h(gpu::ceil_divide(v.out_h, kRows)),
        tiles_w(gpu::ceil_divide(v.out_w, kColumns)) {}
  int tiles(const Conv& v) const { return v.batch * tiles_h * tiles_w; }
  int bytes() const { return h * w * kPitch * static_cast<int>(sizeof(float)); }

  // The image of a tile, and its first pixel in y.
  struct Place {
    int n, p, q;
  };
  __device__ Place place(int tile) const {
    return {tile / tiles_w / tiles_h, tile / tiles_w % tiles_h * kRows, tile % tiles_w * kColumns};
  }

  // All threads of the block bring channels c0 and on, neighbouring threads neighbouring channels.
  __device__ void load(const Conv& v, const float* x, const Place& at, int c0, float* patch) const {
    const int thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
    for (int i = thread; i < h * w * kDepth; i += static_cast<int>(blockDim.x * blockDim.y)) {
      const int c = i % kDepth, place = i / kDepth;
      const int row = at.p * v.stride - v.pad + place / w, column = at.q * v.stride - v.pad + place % w;
      const bool inside = row >= 0 && row < v.in_h && column >= 0 && column < v.in_w && c0 + c < v.in_c;
      patch[place * kPitch + c] = inside ? x[((at.n * v.in_h + row) * v.in_w + column) * v.in_c + c0 + c] : 0;
    }
  }
};

}  // namespace lookalike::ladder
