// Step 1: one thread computes one element, straight from the definition. Neighbouring threads of a warp have neighbouring output
// channels k: y is stored in whole lines, and a load of x is one word for the whole warp. But the 32 values of w[k,r,s,c] that a
// warp loads at a time lie kernel^2 * c elements apart: 32 sectors of 32 bytes for 32 values.
#include "bench/ladders/conv/conv.h"
#include "kernels/gpu/kernel.h"

namespace lookalike::ladder {
namespace {

__global__ void conv_naive(Conv v, const float* x, const float* w, float* y) {
  const int pixel = static_cast<int>(blockIdx.x * blockDim.y + threadIdx.y);
  const int k = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
  if (pixel >= v.pixels || k >= v.out_c) return;
  const int q = pixel % v.out_w, p = pixel / v.out_w % v.out_h, n = pixel / v.out_w / v.out_h;
  float sum = 0;
  for (int r = 0; r < v.kernel; r++) {
    for (int s = 0; s < v.kernel; s++) {
      const int row = p * v.stride + r - v.pad, column = q * v.stride + s - v.pad;
      if (row < 0 || row >= v.in_h || column < 0 || column >= v.in_w) continue;
      const float* const from_x = x + ((n * v.in_h + row) * v.in_w + column) * v.in_c;
      const float* const from_w = w + ((k * v.kernel + r) * v.kernel + s) * v.in_c;
      for (int c = 0; c < v.in_c; c++) sum += from_x[c] * from_w[c];
    }
  }
  y[pixel * v.out_c + k] = sum;
}

void run(const Task& t) {
  const Conv v(t.sizes);
  const dim3 grid(gpu::ceil_divide(v.pixels, 8), gpu::ceil_divide(v.out_c, 32));
  gpu::launch({"conv_naive", grid, dim3(32, 8), t.stream}, conv_naive, v, t.a, t.b, t.c);
}

[[maybe_unused]] const bool registered =
    add_step({"conv", "01 naive", "one thread an element, output channels along the warp", run});

}  // namespace
}  // namespace lookalike::ladder
