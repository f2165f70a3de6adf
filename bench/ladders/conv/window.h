// The image as the left matrix of an implicit product, which nobody stores: a row for each pixel of y, its window, and a column for
// each depth (r, s, c), a tap and a channel. The element lies at the sum of an offset of the window, computed once for each pixel,
// and an offset of the tap, which is carried from one depth to the next.
#pragma once

#include "bench/ladders/conv/conv.h"
#include "kernels/gpu/kernel.h"

namespace lookalike::ladder {

struct Window {
  int row, column, offset;  // of its first tap, maybe outside of the image
};

__device__ inline Window window_of(const Conv& v, int pixel) {
  const int q = pixel % v.out_w, p = pixel / v.out_w % v.out_h, n = pixel / v.out_w / v.out_h;
  const int row = p * v.stride - v.pad, column = q * v.stride - v.pad;
  return {row, column, ((n * v.in_h + row) * v.in_w + column) * v.in_c};
}

struct Tap {
  int r = 0, s = 0, c = 0;

  __device__ void advance(const Conv& v, int depths) {
    for (c += depths; c >= v.in_c; c -= v.in_c) {
      if (++s == v.kernel) s = 0, r++;
    }
  }
  __device__ bool exists(const Conv& v) const { return r < v.kernel; }
  __device__ int offset(const Conv& v) const { return (r * v.in_w + s) * v.in_c + c; }
  // Whether the image has the element.
  __device__ bool inside(const Conv& v, const Window& window) const {
    return exists(v) && static_cast<unsigned>(window.row + r) < static_cast<unsigned>(v.in_h) &&
           static_cast<unsigned>(window.column + s) < static_cast<unsigned>(v.in_w);
  }
};

}  // namespace lookalike::ladder
