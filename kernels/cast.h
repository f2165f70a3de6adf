// float <-> bf16, elementwise, on the GPU.
#pragma once

#include <cstdint>

#include "kernels/bf16.h"
#include "kernels/gpu/device.h"

namespace lookalike::cuda {

// y[n] overwritten, rounded to nearest.
void cast(const float* x, bf16* y, int64_t n, gpu::Stream stream);
void cast(const bf16* x, float* y, int64_t n, gpu::Stream stream);

}  // namespace lookalike::cuda
