// y = f(a + b), elementwise, with an activation f. Backward: activation_backward gives the gradient of both.
#pragma once

#include <cstdint>

#include "kernels/activation.h"

namespace lookalike {
namespace cpu {

// y[n] overwritten; it may be a or b.
template <class T>
void add_forward(const Activation& activation, const T* a, const T* b, T* y, int64_t n);

}  // namespace cpu

// The same for T = float and bf16.
namespace cuda {

template <class T>
void add_forward(const Activation& activation, const T* a, const T* b, T* y, int64_t n, gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
