// Two activations side by side in their channels: y[rows, a + b] is x_a[rows, a] and behind it x_b[rows, b]. The gradient takes them
// apart again.
#pragma once

#include <cstdint>

#include "kernels/bf16.h"
#include "kernels/gpu/device.h"

namespace lookalike {
namespace cpu {

// y overwritten.
template <class T>
void concat_forward(int64_t rows, int64_t a, int64_t b, const T* x_a, const T* x_b, T* y);
// dx_a and dx_b overwritten; either may be null.
template <class T>
void concat_backward(int64_t rows, int64_t a, int64_t b, const T* dy, T* dx_a, T* dx_b);

}  // namespace cpu

// The same for T = float and bf16; y has at most 2^31 - 2^16 elements.
namespace cuda {

template <class T>
void concat_forward(int64_t rows, int64_t a, int64_t b, const T* x_a, const T* x_b, T* y, gpu::Stream stream);
template <class T>
void concat_backward(int64_t rows, int64_t a, int64_t b, const T* dy, T* dx_a, T* dx_b, gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
