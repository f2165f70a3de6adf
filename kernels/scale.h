// y = factor x with a factor that lies in device memory: how a loss passes the gradient of its result on.
#pragma once

#include <cstdint>

#include "kernels/gpu/device.h"

namespace lookalike::cuda {

// y[n] overwritten; y may be x. *factor is one number on the device.
void scale(const float* factor, const float* x, float* y, int64_t n, gpu::Stream stream);

}  // namespace lookalike::cuda
