// Elementwise kernels: a functor called once for each index.
#pragma once

#include <algorithm>

#include "kernels/gpu/kernel.h"

namespace lookalike::gpu {

template <class Body>
__global__ void for_each_kernel(int64_t n, Body body) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) body(i);
}

// body(i) for each i of [0, n), in any order.
template <class Body>
void for_each(const char* name, int64_t n, Stream stream, const Body& body,
              std::source_location where = std::source_location::current()) {
  constexpr int kThreads = 256;
  const int64_t blocks = std::min<int64_t>(ceil_divide<int64_t>(n, kThreads), int64_t{limits().multiprocessors} * 16);
  launch({name, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), stream, 0, where}, for_each_kernel<Body>, n, body);
}

}  // namespace lookalike::gpu
