#include "kernels/fill.h"
#include "kernels/gpu/elementwise.h"

namespace lookalike::cuda {
namespace {

template <class T>
struct Fill {
  T* y;
  T value;
  template <int kWidth>
  __device__ void run(int64_t i) const {
    gpu::Pack<T, kWidth> values;
#pragma unroll
    for (int j = 0; j < kWidth; j++) values.x[j] = value;
    gpu::store(y + i, values);
  }
};

}  // namespace

template <class T>
void fill(T* y, double value, int64_t n, gpu::Stream stream) {
  gpu::for_runs<16 / sizeof(T)>("fill", n, gpu::aligned_to_16(y), stream,
                                Fill<T>{y, from_float<T>(static_cast<float>(value))});
}

template void fill(float*, double, int64_t, gpu::Stream);
template void fill(bf16*, double, int64_t, gpu::Stream);

}  // namespace lookalike::cuda
