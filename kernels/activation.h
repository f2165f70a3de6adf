// Activations, elementwise: y = f(x). The formulas live here once, for the kernels that fuse them and for those that
// stand alone.
//   relu        max(0, x)
//   leaky_relu  x > 0 ? x : slope * x, slope > 0
//   relu6       min(max(0, x), 6)
//   sigmoid     1 / (1 + exp(-x))
// Their gradients are functions of the output y, so the input need not be kept. At x = 0 the gradient of (leaky) ReLU
// is 0 (slope), of ReLU6 it is 0 at 6, too.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "kernels/gpu/device.h"
#include "kernels/host_device.h"

namespace lookalike {

enum class ActivationKind : uint8_t { none, relu, leaky_relu, relu6, sigmoid };

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
struct LeakyRelu {  // slope 0 is ReLU, and with a limit of 6 ReLU6
  T slope, limit = std::numeric_limits<T>::infinity();
  LOOKALIKE_HOST_DEVICE T forward(T x) const {
    const T y = x > 0 ? x : slope * x;
    return y > limit ? limit : y;
  }
  LOOKALIKE_HOST_DEVICE T backward(T y) const { return y > 0 ? (y < limit ? T(1) : T(0)) : slope; }
};
template <class T>
struct Sigmoid {
  LOOKALIKE_HOST_DEVICE T forward(T x) const {
#ifdef __CUDA_ARCH__
    static_assert(std::is_same_v<T, float>);
    return __fdividef(1.0f, 1.0f + expf(-x));  // the exact quotient is ten times the code, at each place in a kernel
#else
    return T(1) / (T(1) + std::exp(-x));
#endif
  }
  LOOKALIKE_HOST_DEVICE T backward(T y) const {
    return y * (T(1) - y);
  }
};

// The (leaky) ReLU or ReLU6 of that name; for `none` the one that changes nothing.
template <class T>
LeakyRelu<T> leaky_relu_of(const Activation& activation) {
  switch (activation.kind) {
    case ActivationKind::relu:
      return {T(0)};
    case ActivationKind::leaky_relu:
      return {static_cast<T>(activation.slope)};
    case ActivationKind::relu6:
      return {T(0), T(6)};
    default:
      return {T(1)};
  }
}

// Calls body(functor) with the functor of `activation`.
template <class T, class Body>
void with_activation(const Activation& activation, const Body& body) {
  switch (activation.kind) {
    case ActivationKind::none:
      return body(Identity<T>{});
    case ActivationKind::sigmoid:
      return body(Sigmoid<T>{});
    default:
      return body(leaky_relu_of<T>(activation));
  }
}

// Any of them in one functor, forward alone, for epilogues that have better things to be compiled for.
class AnyActivation {
 public:
  explicit AnyActivation(const Activation& activation)
      : sigmoid_(activation.kind == ActivationKind::sigmoid), leaky_(leaky_relu_of<float>(activation)) {}
  LOOKALIKE_HOST_DEVICE float forward(float x) const {
    return sigmoid_ ? Sigmoid<float>{}.forward(x) : leaky_.forward(x);
  }

 private:
  bool sigmoid_;
  LeakyRelu<float> leaky_;
};

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
