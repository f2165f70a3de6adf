// Bound by memory: reads x and keep, writes y.
#include "kernels/dropout.h"
#include "kernels/gpu/elementwise.h"

namespace lookalike::cuda {
namespace {

template <class T>
struct Dropout {
  const T* x;
  const uint8_t* keep;
  float scale;
  T* y;
  template <int kWidth>
  __device__ void run(int64_t i) const {
    auto values = gpu::load<kWidth>(x + i);
    const auto kept = gpu::load<kWidth>(keep + i);
#pragma unroll
    for (int j = 0; j < kWidth; j++) {
      values.x[j] = from_float<T>(kept.x[j] ? scale * to_float(values.x[j]) : 0.0f);
    }
    gpu::store(y + i, values);
  }
};

}  // namespace

template <class T>
void dropout(const T* x, const uint8_t* keep, double scale, T* y, int64_t n, gpu::Stream stream) {
  gpu::for_runs<16 / sizeof(T)>("dropout", n, gpu::aligned_to_16(x, keep, y), stream,
                                Dropout<T>{x, keep, static_cast<float>(scale), y});
}

template void dropout(const float*, const uint8_t*, double, float*, int64_t, gpu::Stream);
template void dropout(const bf16*, const uint8_t*, double, bf16*, int64_t, gpu::Stream);

}  // namespace lookalike::cuda
