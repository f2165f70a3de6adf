// Bound by memory: x read, y read and written.
#include "kernels/accumulate.h"
#include "kernels/gpu/elementwise.h"

namespace lookalike::cuda {
namespace {

template <class T>
struct Accumulate {
  const T* x;
  T* y;
  template <int kWidth>
  __device__ void run(int64_t i) const {
    const auto add = gpu::load<kWidth>(x + i);
    auto sum = gpu::load<kWidth>(y + i);
#pragma unroll
    for (int j = 0; j < kWidth; j++) sum.x[j] = from_float<T>(to_float(sum.x[j]) + to_float(add.x[j]));
    gpu::store(y + i, sum);
  }
};

}  // namespace

template <class T>
void accumulate(const T* x, T* y, int64_t n, gpu::Stream stream) {
  gpu::for_runs<16 / sizeof(T)>("accumulate", n, gpu::aligned_to_16(x, y), stream, Accumulate<T>{x, y});
}

template void accumulate(const float*, float*, int64_t, gpu::Stream);
template void accumulate(const bf16*, bf16*, int64_t, gpu::Stream);

}  // namespace lookalike::cuda
