// Bound by memory: forward reads x and writes y, backward reads y and dy and writes dx.
#include "kernels/activation.h"
#include "kernels/gpu/elementwise.h"
#include "kernels/gpu/fast_divide.h"

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

template <class T, class F>
struct BiasForward {
  F f;
  const T* x;
  const float* bias;
  T* y;
  gpu::FastDivide by_channels;
  // A run lies in one row.
  template <int kWidth>
  __device__ void run(int64_t i) const {
    int channel = static_cast<int>(i);
    by_channels.split(channel);
    auto values = gpu::load<kWidth>(x + i);
#pragma unroll
    for (int j = 0; j < kWidth; j++) {
      values.x[j] = from_float<T>(f.forward(to_float(values.x[j]) + bias[channel + j]));
    }
    gpu::store(y + i, values);
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

template <class T>
void bias_activation_forward(const Activation& activation, const T* x, const float* bias, T* y, int64_t rows,
                             int64_t channels, gpu::Stream stream) {
  constexpr int kWidth = 16 / sizeof(T);
  if (channels == 0) return;
  with_activation<float>(activation, [=](auto f) {
    gpu::for_runs<kWidth>("bias_activation_forward", rows * channels,
                          channels % kWidth == 0 && gpu::aligned_to_16(x, y), stream,
                          BiasForward<T, decltype(f)>{f, x, bias, y, gpu::FastDivide(channels)});
  });
}

template void activation_forward(const Activation&, const float*, float*, int64_t, gpu::Stream);
template void activation_forward(const Activation&, const bf16*, bf16*, int64_t, gpu::Stream);
template void activation_backward(const Activation&, const float*, const float*, float*, int64_t, gpu::Stream);
template void activation_backward(const Activation&, const bf16*, const bf16*, bf16*, int64_t, gpu::Stream);
template void bias_activation_forward(const Activation&, const float*, const float*, float*, int64_t, int64_t,
                                      gpu::Stream);
template void bias_activation_forward(const Activation&, const bf16*, const float*, bf16*, int64_t, int64_t,
                                      gpu::Stream);

}  // namespace lookalike::cuda
