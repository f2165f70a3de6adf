// Pooling of NHWC activations over square windows: y[n, i, j, c] is the maximum or the mean of x[n, h, w, c] over
// h in [i * stride - padding, i * stride - padding + size), w likewise. Padding, of the maximum alone, never wins; what no
// window covers gets no gradient.
// Global pooling takes all positions of an image as one window.
#pragma once

#include <cstdint>

#include "kernels/bf16.h"
#include "kernels/gpu/device.h"

namespace lookalike {

struct Pool2dParams {
  int64_t images, height, width, channels, size, stride;
  int64_t padding = 0;  // below size, so that every window meets the image

  int64_t out_height() const { return (height + 2 * padding - size) / stride + 1; }
  int64_t out_width() const { return (width + 2 * padding - size) / stride + 1; }
  // Whether every position is in a window, or in several.
  bool covers() const {
    const int64_t last_row = (out_height() - 1) * stride - padding, last_column = (out_width() - 1) * stride - padding;
    return stride <= size && last_row + size >= height && last_column + size >= width;
  }
};

namespace cpu {

// y and argmax [images, out_height, out_width, C] overwritten; argmax is h * size + w within the window (size at most
// 16), the first one where values are equal. It may be null.
template <class T>
void max_pool2d_forward(const Pool2dParams& p, const T* x, T* y, uint8_t* argmax);
// dx overwritten; overlapping windows add up.
template <class T>
void max_pool2d_backward(const Pool2dParams& p, const T* dy, const uint8_t* argmax, T* dx);

template <class T>
void avg_pool2d_forward(const Pool2dParams& p, const T* x, T* y);
template <class T>
void avg_pool2d_backward(const Pool2dParams& p, const T* dy, T* dx);

// x [images, positions, C] -> y [images, C], positions at least 1; argmax is the first position of the maximum.
template <class T>
void global_max_pool_forward(int64_t images, int64_t positions, int64_t channels, const T* x, T* y, int32_t* argmax);
template <class T>
void global_max_pool_backward(int64_t images, int64_t positions, int64_t channels, const T* dy, const int32_t* argmax,
                              T* dx);
template <class T>
void global_avg_pool_forward(int64_t images, int64_t positions, int64_t channels, const T* x, T* y);
template <class T>
void global_avg_pool_backward(int64_t images, int64_t positions, int64_t channels, const T* dy, T* dx);

}  // namespace cpu

// The same for T = float and bf16. x has at most 2^31 - 2^16 elements.
namespace cuda {

template <class T>
void max_pool2d_forward(const Pool2dParams& p, const T* x, T* y, uint8_t* argmax, gpu::Stream stream);
template <class T>
void max_pool2d_backward(const Pool2dParams& p, const T* dy, const uint8_t* argmax, T* dx, gpu::Stream stream);
template <class T>
void avg_pool2d_forward(const Pool2dParams& p, const T* x, T* y, gpu::Stream stream);
template <class T>
void avg_pool2d_backward(const Pool2dParams& p, const T* dy, T* dx, gpu::Stream stream);
template <class T>
void global_max_pool_forward(int64_t images, int64_t positions, int64_t channels, const T* x, T* y, int32_t* argmax,
                             gpu::Stream stream);
template <class T>
void global_max_pool_backward(int64_t images, int64_t positions, int64_t channels, const T* dy, const int32_t* argmax,
                              T* dx, gpu::Stream stream);
template <class T>
void global_avg_pool_forward(int64_t images, int64_t positions, int64_t channels, const T* x, T* y, gpu::Stream stream);
template <class T>
void global_avg_pool_backward(int64_t images, int64_t positions, int64_t channels, const T* dy, T* dx,
                              gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
