// The second stage of a sum: one block adds up, in order, what the blocks of the first left.
#pragma once

#include "kernels/gpu/reduce.h"

namespace lookalike::gpu {

constexpr int kPartThreads = 1024;  // the fewest loads behind each other

static __global__ void __launch_bounds__(kPartThreads)
    add_parts_kernel(const double* parts, int64_t count, double scale, float* sum) {
  double total = 0;
  for (int64_t i = threadIdx.x; i < count; i += kPartThreads) total += parts[i];
  total = block_sum<kPartThreads>(total);
  if (threadIdx.x == 0) *sum = static_cast<float>(scale * total);
}

// *sum = scale * the sum of parts[count], overwritten.
inline void add_parts(const char* name, const double* parts, int64_t count, double scale, float* sum, Stream stream) {
  launch({name, dim3(1), dim3(kPartThreads), stream}, add_parts_kernel, parts, count, scale, sum);
}

}  // namespace lookalike::gpu
