// Step 2: weights turned to [r][s][c][k]. KRSC keeps together what one output channel needs one product after the other; a warp
// needs the same (r, s, c) of 32 channels at once. Turned, that is one line of 128 bytes instead of 32 sectors. The copy reads
// and writes w once: 0.6 MB each at the default sizes, beside 51 MB of x and y. Each product still costs two loads.
#include "bench/ladders/conv/copies.h"

namespace lookalike::ladder {
namespace {

__global__ void conv_turned_weights(Conv v, const float* x, const float* turned, float* y) {
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
      const float* const from_w = turned + (r * v.kernel + s) * v.in_c * v.out_c + k;
      for (int c = 0; c < v.in_c; c++) sum += from_x[c] * from_w[c * v.out_c];
    }
  }
  y[pixel * v.out_c + k] = sum;
}

void run(const Task& t) {
  const Conv v(t.sizes);
  const Scratch<float> turned = turned_weights(v, t.b, t.stream);
  const dim3 grid(gpu::ceil_divide(v.pixels, 8), gpu::ceil_divide(v.out_c, 32));
  gpu::launch({"conv_turned_weights", grid, dim3(32, 8), t.stream}, conv_turned_weights, v, t.a, turned.get(), t.c);
}

[[maybe_unused]] const bool registered =
    add_step({"conv", "02 turned weights", "[r][s][c][k]: a warp's weights are one line", run});

}  // namespace
}  // namespace lookalike::ladder
