#include "kernels/gpu/elementwise.h"
#include "kernels/scale.h"

namespace lookalike::cuda {
namespace {

template <class T>
struct Scale {
  const float* factor;
  const T* x;
  T* y;
  template <int kWidth>
  __device__ void run(int64_t i) const {
    auto values = gpu::load<kWidth>(x + i);
#pragma unroll
    for (int j = 0; j < kWidth; j++) values.x[j] = from_float<T>(*factor * to_float(values.x[j]));
    gpu::store(y + i, values);
  }
};

}  // namespace

template <class T>
void scale(const float* factor, const T* x, T* y, int64_t n, gpu::Stream stream) {
  gpu::for_runs<16 / sizeof(T)>("scale", n, gpu::aligned_to_16(x, y), stream, Scale<T>{factor, x, y});
}

template void scale(const float*, const float*, float*, int64_t, gpu::Stream);
template void scale(const float*, const bf16*, bf16*, int64_t, gpu::Stream);

}  // namespace lookalike::cuda
