// Activations, elementwise: y = f(x). The formulas live here once, for the kernels that fuse them and for those that
// stand alone.
//   relu        max(0, x)
//   leaky_relu  x > 0 ? x : slope * x, slope > 0
//   sigmoid     1 / (1 + exp(-x))
// Their gradients are functions of the output y, so the input need not be kept. At x = 0 the gradient of (leaky) ReLU
// is 0 (slope).
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/gpu/device.h"
#include "kernels/host_device.h"

namespace lookalike {

enum class ActivationKind : uint8_t { none, relu, leaky_relu, sigmoid };

struct Activation {
  ActivationKind kind = ActivationKind::none;
  double slope = 0;  // of leaky_relu
};

// One functor for each kind: forward(x) and backward(y), the factor dy is multiplied with.
template <class T>
struct Identity {
  LOOKALIKE_HOST_DEVICE T forward(T x) const { return x; }
  LOOKALIKE_HOST_DEVICE T backward(T) const { return T(1); }
};
template <class T>
struct LeakyRelu {  // slope 0 is ReLU
  T slope;
  LOOKALIKE_HOST_DEVICE T forward(T x) const { return x > 0 ? x : slope * x; }
  LOOKALIKE_HOST_DEVICE T backward(T y) const { return y > 0 ? T(1) : slope; }
};
template <class T>
struct Sigmoid {
  LOOKALIKE_HOST_DEVICE T forward(T x) const { return T(1) / (T(1) + std::exp(-x)); }
  LOOKALIKE_HOST_DEVICE T backward(T y) const { return y * (T(1) - y); }
};

// Calls body(functor) with the functor of `activation`.
template <class T, class Body>
void with_activation(const Activation& activation, const Body& body) {
  switch (activation.kind) {
    case ActivationKind::none:
      return body(Identity<T>{});
    case ActivationKind::relu:
      return body(LeakyRelu<T>{T(0)});
    case ActivationKind::leaky_relu:
      return body(LeakyRelu<T>{static_cast<T>(activation.slope)});
    case ActivationKind::sigmoid:
      return body(Sigmoid<T>{});
  }
}

namespace cpu {

// y[n] overwritten; y may be x.
template <class T>
void activation_forward(const Activation& activation, const T* x, T* y, int64_t n);
// dx[n] = dy * f'(y), overwritten; dx may be dy.
template <class T>
void activation_backward(const Activation& activation, const T* y, const T* dy, T* dx, int64_t n);

}  // namespace cpu

// The same for T = float and bf16; arithmetic in float.
namespace cuda {

template <class T>
void activation_forward(const Activation& activation, const T* x, T* y, int64_t n, gpu::Stream stream);
template <class T>
void activation_backward(const Activation& activation, const T* y, const T* dy, T* dx, int64_t n, gpu::Stream stream);
// y[rows, channels] = f(x + bias[channels]), overwritten; y may be x. Below 2^31 elements.
template <class T>
void bias_activation_forward(const Activation& activation, const T* x, const float* bias, T* y, int64_t rows,
                             int64_t channels, gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
