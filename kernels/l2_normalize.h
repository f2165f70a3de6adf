// Rows of unit length: y = x / max(||x||, eps), x[rows, d] row-major. A row not longer than eps has no direction to
// turn towards: its gradient is zero (dividing by eps instead would blow it up a trillion times).
#pragma once

#include <cstdint>

#include "kernels/bf16.h"
#include "kernels/gpu/device.h"

namespace lookalike {
namespace cpu {

// y and scale[rows] = 1 / max(||x||, eps), 0 where ||x|| <= eps, overwritten; y may be x.
template <class T>
void l2_normalize_forward(const T* x, int64_t rows, int64_t d, double eps, T* y, T* scale);

// dx = scale (dy - y (y . dy)), overwritten; dx may be dy.
template <class T>
void l2_normalize_backward(const T* y, const T* scale, const T* dy, int64_t rows, int64_t d, T* dx);

}  // namespace cpu

// The same for x and dx of T = float and bf16; what comes out of a normalisation is float. d is below 2^30.
namespace cuda {

template <class T>
void l2_normalize_forward(const T* x, int64_t rows, int64_t d, double eps, float* y, float* scale, gpu::Stream stream);
template <class T>
void l2_normalize_backward(const float* y, const float* scale, const float* dy, int64_t rows, int64_t d, T* dx,
                           gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
