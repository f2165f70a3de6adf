// Elementwise kernels: a functor called for each index, or for runs of neighbouring elements, as many as 16 bytes hold where
// all arrays are aligned, so that memory moves in the widest loads and stores.
#pragma once

#include <algorithm>

#include "kernels/gpu/kernel.h"

namespace lookalike::gpu {

// kWidth neighbouring elements, loaded and stored at once, or 16 bytes at a time.
template <class T, int kWidth>
struct alignas(std::min<size_t>(kWidth * sizeof(T), 16)) Pack {
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

// A thread for each item and no loop: small blocks that come and go share out memory's bandwidth more evenly than large
// shares that all start together.
constexpr int kElementThreads = 256;
inline dim3 element_blocks(int64_t items) {
  return dim3(static_cast<unsigned>(ceil_divide<int64_t>(items, kElementThreads)));
}

template <class Body>
__global__ void __launch_bounds__(kElementThreads) for_each_kernel(int64_t n, Body body) {
  const int64_t i = int64_t{blockIdx.x} * kElementThreads + threadIdx.x;
  if (i < n) body(i);
}

// body(i) for each i of [0, n), in any order.
template <class Body>
void for_each(const char* name, int64_t n, Stream stream, const Body& body,
              std::source_location where = std::source_location::current()) {
  launch({name, element_blocks(n), dim3(kElementThreads), stream, 0, where}, for_each_kernel<Body>, n, body);
}

template <int kWidth, class Body>
__global__ void __launch_bounds__(kElementThreads) for_runs_kernel(int64_t n, Body body) {
  const int64_t i = int64_t{blockIdx.x} * kElementThreads + threadIdx.x, whole = n / kWidth;
  if (i < whole) body.template run<kWidth>(i * kWidth);
  if constexpr (kWidth > 1) {
    if (i < n % kWidth) body.template run<1>(whole * kWidth + i);
  }
}

// body.run<W>(i) for runs of W elements from i on that make up [0, n), in any order; W is 1, or kWidth where `wide`.
template <int kWidth, class Body>
void for_runs(const char* name, int64_t n, bool wide, Stream stream, const Body& body,
              std::source_location where = std::source_location::current()) {
  const int64_t threads = wide ? ceil_divide<int64_t>(n, kWidth) : n;
  launch({name, element_blocks(threads), dim3(kElementThreads), stream, 0, where},
         wide ? for_runs_kernel<kWidth, Body> : for_runs_kernel<1, Body>, n, body);
}

}  // namespace lookalike::gpu
