// Dropout (Srivastava et al. 2014), forward and backward alike: y = keep ? scale * x : 0. The caller draws `keep`.
#pragma once

#include <cstdint>

#include "kernels/bf16.h"
#include "kernels/gpu/device.h"

namespace lookalike {
namespace cpu {

// y[n] overwritten; y may be x. keep[n] is 0 or 1.
template <class T>
void dropout(const T* x, const uint8_t* keep, double scale, T* y, int64_t n);

}  // namespace cpu

// The same for T = float and bf16; keep lies in device memory.
namespace cuda {

template <class T>
void dropout(const T* x, const uint8_t* keep, double scale, T* y, int64_t n, gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
