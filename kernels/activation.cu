// Bound by memory: forward reads x and writes y, backward reads y and dy and writes dx.
#include "kernels/activation.h"
#include "kernels/gpu/elementwise.h"

namespace lookalike::cuda {
namespace {

template <class T, class F>
struct Forward {
  F f;
  const T* x;
  T* y;
  template <int kWidth>
  __device__ void run(int64_t i) const {
    auto values = gpu::load<kWidth>(x + i);
#pragma unroll
    for (int j = 0; j < kWidth; j++) values.x[j] = from_float<T>(f.forward(to_float(values.x[j])));
    gpu::store(y + i, values);
  }
};

template <class T, class F>
struct Backward {
  F f;
  const T *y, *dy;
  T* dx;
  template <int kWidth>
  __device__ void run(int64_t i) const {
    const auto out = gpu::load<kWidth>(y + i);
    auto grad = gpu::load<kWidth>(dy + i);
#pragma unroll
    for (int j = 0; j < kWidth; j++) {
      grad.x[j] = from_float<T>(to_float(grad.x[j]) * f.backward(to_float(out.x[j])));
    }
    gpu::store(dx + i, grad);
  }
};

}  // namespace

template <class T>
void activation_forward(const Activation& activation, const T* x, T* y, int64_t n, gpu::Stream stream) {
  with_activation<float>(activation, [=](auto f) {
    gpu::for_runs<16 / sizeof(T)>("activation_forward", n, gpu::aligned_to_16(x, y), stream,
                                  Forward<T, decltype(f)>{f, x, y});
  });
}

template <class T>
void activation_backward(const Activation& activation, const T* y, const T* dy, T* dx, int64_t n, gpu::Stream stream) {
  with_activation<float>(activation, [=](auto f) {
    gpu::for_runs<16 / sizeof(T)>("activation_backward", n, gpu::aligned_to_16(y, dy, dx), stream,
                                  Backward<T, decltype(f)>{f, y, dy, dx});
  });
}

template void activation_forward(const Activation&, const float*, float*, int64_t, gpu::Stream);
template void activation_forward(const Activation&, const bf16*, bf16*, int64_t, gpu::Stream);
template void activation_backward(const Activation&, const float*, const float*, float*, int64_t, gpu::Stream);
template void activation_backward(const Activation&, const bf16*, const bf16*, bf16*, int64_t, gpu::Stream);

}  // namespace lookalike::cuda
