// y += x, elementwise: how the tape adds gradients up.
#pragma once

#include <cstdint>

#include "kernels/gpu/device.h"

namespace lookalike {
namespace cpu {

// y[n] accumulated.
template <class T>
void accumulate(const T* x, T* y, int64_t n);

}  // namespace cpu

// The same for T = float and bf16.
namespace cuda {

template <class T>
void accumulate(const T* x, T* y, int64_t n, gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
