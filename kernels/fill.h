// y = value, elementwise, on the GPU.
#pragma once

#include <cstdint>

#include "kernels/bf16.h"
#include "kernels/gpu/device.h"

namespace lookalike::cuda {

// y[n] overwritten; T is float or bf16.
template <class T>
void fill(T* y, double value, int64_t n, gpu::Stream stream);

}  // namespace lookalike::cuda
