// What the float depthwise convolution is made of, compiled once for each instruction set (depthwise_conv2d_tile.cpp) and driven by
// depthwise_conv2d_float_cpu.cpp: vectors of channels, the sums of neighbouring outputs in registers.
#pragma once

#include <cstdint>

namespace lookalike::cpu {

// A pixel and the weights that it meets, [channels] each.
struct DepthwiseTap {
  const float *x, *w;
};

// Neighbouring outputs that all see the same taps.
struct DepthwiseRun {
  int64_t outputs, channels;
  int64_t in_step, out_step;  // floats from the first tap's pixel, and from the output, to the next output's
  float slope, limit;         // of leaky ReLU, as in conv2d_tile.h
};

// Neighbouring outputs whose windows lie whole, side by side in rows of x.
struct DepthwiseWindows {
  int64_t outputs, channels;
  int64_t kernel_h, kernel_w, stride;
  int64_t x_row, x_pixel;  // floats from one row of x, and from one pixel, to the next
  int64_t w_tap;           // floats from one tap's weights to the next one's
  int64_t out_step;        // floats from one output to the next
  float slope, limit;
};

struct DepthwiseTiles {
  // out[i * out_step + c] = f(bias[c] + sum over t of taps[t].x[i * in_step + c] * taps[t].w[c]); bias may be null.
  void (*correlate_taps)(const DepthwiseRun& run, const DepthwiseTap* taps, int64_t count, const float* bias,
                         float* out);
  // out[i * out_step + c] = f(bias[c] + sum over r, s of x[r * x_row + (i * stride + s) * x_pixel + c] * w[(r * kernel_w + s) * w_tap + c]);
  // bias may be null. Returns how many channels it made, the first ones: it leaves what does not fill a vector, and all of a kernel or stride
  // that it does not know.
  int64_t (*correlate_windows)(const DepthwiseWindows& windows, const float* x, const float* w, const float* bias,
                               float* out);
  // dw[c] += sum over i of x[i * x_step + c] * dz[i * channels + c].
  void (*weight_gradient)(int64_t outputs, int64_t channels, const float* x, int64_t x_step, const float* dz,
                          float* dw);
};

// Of this processor.
const DepthwiseTiles& depthwise_tiles();

// The tiles' correlate_windows() for any number of channels, kernel and stride.
void correlate_windows(const DepthwiseWindows& windows, const float* x, const float* w, const float* bias, float* out);

namespace base {
extern const DepthwiseTiles kDepthwiseTiles;
}
namespace avx2 {
extern const DepthwiseTiles kDepthwiseTiles;
}
namespace avx512 {
extern const DepthwiseTiles kDepthwiseTiles;
}

}  // namespace lookalike::cpu
