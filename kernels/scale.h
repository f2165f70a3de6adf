// y = factor x with a factor that lies in device memory: how a loss passes the gradient of its result on.
#pragma once

#include <cstdint>

#include "kernels/bf16.h"
#include "kernels/gpu/device.h"

namespace lookalike::cuda {

// y[n] overwritten; y may be x. *factor is one number on the device; T is float or bf16.
template <class T>
void scale(const float* factor, const T* x, T* y, int64_t n, gpu::Stream stream);

}  // namespace lookalike::cuda
