// Bound by memory: a and b read, y written.
#include "kernels/add.h"
#include "kernels/gpu/elementwise.h"

namespace lookalike::cuda {
namespace {

template <class T, class F>
struct Add {
  F f;
  const T *a, *b;
  T* y;
  template <int kWidth>
  __device__ void run(int64_t i) const {
    auto values = gpu::load<kWidth>(a + i);
    const auto more = gpu::load<kWidth>(b + i);
#pragma unroll
    for (int j = 0; j < kWidth; j++) {
      values.x[j] = from_float<T>(f.forward(to_float(values.x[j]) + to_float(more.x[j])));
    }
    gpu::store(y + i, values);
  }
};

}  // namespace

template <class T>
void add_forward(const Activation& activation, const T* a, const T* b, T* y, int64_t n, gpu::Stream stream) {
  with_activation<float>(activation, [=](auto f) {
    gpu::for_runs<16 / sizeof(T)>("add_forward", n, gpu::aligned_to_16(a, b, y), stream,
                                  Add<T, decltype(f)>{f, a, b, y});
  });
}

template void add_forward(const Activation&, const float*, const float*, float*, int64_t, gpu::Stream);
template void add_forward(const Activation&, const bf16*, const bf16*, bf16*, int64_t, gpu::Stream);

}  // namespace lookalike::cuda
