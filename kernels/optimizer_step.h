// Optimiser steps over many tensors at once: one pass over parameters, gradients and moments.
//   sgd    g += decay w;  m = momentum m + g;  w -= rate m                    (momentum 0: m is not touched, w -= rate
//   g) adam   g += decay w;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
//          w -= rate / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + epsilon)        t = 1, 2, ... counts the steps
//   adamw  the same, but w *= 1 - rate decay first, and g stays as it is
// SGD's momentum as in PyTorch (the rate is outside of m); Adam: Kingma, Ba, "Adam: a method for stochastic
// optimization" (2015); AdamW: Loshchilov, Hutter, "Decoupled weight decay regularization" (2019).
#pragma once

#include <cstdint>
#include <span>

#include "kernels/gpu/device.h"

namespace lookalike {

template <class T>
struct StepTensor {
  T* w;        // the parameter, updated
  const T* g;  // its gradient
  T *m, *v;    // moments, updated; v only in Adam, m not in SGD without momentum
  int64_t size;
  double decay;
  double rate = 1;  // its share of the step's rate
};

struct SgdParams {
  double rate, momentum;
};
struct AdamParams {
  double rate, beta1, beta2, epsilon;
  int64_t step;    // t
  bool decoupled;  // AdamW
};
namespace cpu {

template <class T>
void sgd_step(const SgdParams& p, std::span<const StepTensor<T>> tensors);
template <class T>
void adam_step(const AdamParams& p, std::span<const StepTensor<T>> tensors);

}  // namespace cpu

// One launch for all tensors. Every gradient counts times *gradient_factor, a number in device memory, where that is not
// null.
namespace cuda {

void sgd_step(const SgdParams& p, std::span<const StepTensor<float>> tensors, const float* gradient_factor,
              gpu::Stream stream);
void adam_step(const AdamParams& p, std::span<const StepTensor<float>> tensors, const float* gradient_factor,
               gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
