// Elementwise kernels: a functor called for each index, or for runs of neighbouring elements, as many as 16 bytes hold where
// all arrays are aligned, so that memory moves in the widest loads and stores.
#pragma once

#include <algorithm>

#include "kernels/gpu/kernel.h"

namespace lookalike::gpu {

// kWidth neighbouring elements, loaded and stored at once.
template <class T, int kWidth>
struct alignas(kWidth * sizeof(T)) Pack {
  T x[kWidth];
};
template <int kWidth, class T>
__device__ inline Pack<T, kWidth> load(const T* from) {
  return *reinterpret_cast<const Pack<T, kWidth>*>(from);
}
template <class T, int kWidth>
__device__ inline void store(T* to, const Pack<T, kWidth>& values) {
  *reinterpret_cast<Pack<T, kWidth>*>(to) = values;
}

template <class... T>
bool aligned_to_16(const T*... arrays) {
  return ((reinterpret_cast<uintptr_t>(arrays) % 16 == 0) && ...);
}

// Blocks of an elementwise kernel of `items` threads: enough to fill the device a few times over.
inline unsigned elementwise_blocks(int64_t items, int threads) {
  return static_cast<unsigned>(
      std::min<int64_t>(ceil_divide<int64_t>(items, threads), int64_t{limits().multiprocessors} * 16));
}

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
  launch({name, dim3(elementwise_blocks(n, kThreads)), dim3(kThreads), stream, 0, where}, for_each_kernel<Body>, n,
         body);
}

template <int kWidth, class Body>
__global__ void for_runs_kernel(int64_t n, Body body) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x, first = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int64_t whole = n / kWidth;
  for (int64_t i = first; i < whole; i += step) body.template run<kWidth>(i * kWidth);
  if constexpr (kWidth > 1) {
    for (int64_t i = whole * kWidth + first; i < n; i += step) body.template run<1>(i);
  }
}

// body.run<W>(i) for runs of W elements from i on that make up [0, n), in any order; W is 1, or kWidth where `wide`.
template <int kWidth, class Body>
void for_runs(const char* name, int64_t n, bool wide, Stream stream, const Body& body,
              std::source_location where = std::source_location::current()) {
  constexpr int kThreads = 256;
  if (wide)
    launch(
        {name, dim3(elementwise_blocks(ceil_divide<int64_t>(n, kWidth), kThreads)), dim3(kThreads), stream, 0, where},
        for_runs_kernel<kWidth, Body>, n, body);
  else
    launch({name, dim3(elementwise_blocks(n, kThreads)), dim3(kThreads), stream, 0, where}, for_runs_kernel<1, Body>, n,
           body);
}

}  // namespace lookalike::gpu
