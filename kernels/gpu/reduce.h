// Sums over a warp and over a block, in an order that depends on the size of the block alone.
#pragma once

#include "kernels/gpu/kernel.h"

namespace lookalike::gpu {

// The sum over all lanes, in every lane.
template <class T>
__device__ inline T warp_sum(T value) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}

// The sum over the block, in every thread; the block has kThreads threads in x alone. All threads call it.
template <int kThreads, class T>
__device__ inline T block_sum(T value) {
  constexpr int kWarps = kThreads / kWarp;
  static_assert(kThreads % kWarp == 0 && kWarps <= kWarp);
  LOOKALIKE_SHARED(T, sums, [kWarps]);
  value = warp_sum(value);
  __syncthreads();  // sums may still be read from the last call
  if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = value;
  __syncthreads();
  T total = 0;
#pragma unroll
  for (int i = 0; i < kWarps; i++) total += sums[i];
  return total;
}

}  // namespace lookalike::gpu
