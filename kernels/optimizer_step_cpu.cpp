#include <cmath>

#include "kernels/chunks.h"
#include "kernels/optimizer_step.h"

namespace lookalike::cpu {

template <class T>
void sgd_step(const SgdParams& p, std::span<const StepTensor<T>> tensors) {
  const T momentum = static_cast<T>(p.momentum);
  for_chunks(tensors, [=](const StepTensor<T>& tensor, int64_t, int64_t begin, int64_t end) {
    const T rate = static_cast<T>(p.rate * tensor.rate), decay = static_cast<T>(tensor.decay), *g = tensor.g;
    T *w = tensor.w, *m = tensor.m;
    simd([=] {
      if (momentum == 0) {
#pragma GCC ivdep
        for (int64_t i = begin; i < end; i++) w[i] -= rate * (g[i] + decay * w[i]);
      } else {
#pragma GCC ivdep
        for (int64_t i = begin; i < end; i++) {
          m[i] = momentum * m[i] + (g[i] + decay * w[i]);
          w[i] -= rate * m[i];
        }
      }
    });
  });
}

template <class T>
void adam_step(const AdamParams& p, std::span<const StepTensor<T>> tensors) {
  const double step = static_cast<double>(p.step);
  const double first = p.rate / (1 - std::pow(p.beta1, step));
  const T v_scale = static_cast<T>(1 / std::sqrt(1 - std::pow(p.beta2, step))), epsilon = static_cast<T>(p.epsilon);
  const T beta1 = static_cast<T>(p.beta1), beta2 = static_cast<T>(p.beta2);
  const T take1 = static_cast<T>(1 - p.beta1), take2 = static_cast<T>(1 - p.beta2);
  for_chunks(tensors, [=](const StepTensor<T>& tensor, int64_t, int64_t begin, int64_t end) {
    // One of the two forms of weight decay is off.
    const T keep = static_cast<T>(p.decoupled ? 1 - p.rate * tensor.rate * tensor.decay : 1);
    const T decay = static_cast<T>(p.decoupled ? 0 : tensor.decay);
    const T rate = static_cast<T>(first * tensor.rate), *g = tensor.g;
    T *w = tensor.w, *m = tensor.m, *v = tensor.v;
    simd([=] {
#pragma GCC ivdep
      for (int64_t i = begin; i < end; i++) {
        const T grad = g[i] + decay * w[i];
        m[i] = beta1 * m[i] + take1 * grad;
        v[i] = beta2 * v[i] + take2 * grad * grad;
        w[i] = keep * w[i] - rate * m[i] / (std::sqrt(v[i]) * v_scale + epsilon);
      }
    });
  });
}

template void sgd_step(const SgdParams&, std::span<const StepTensor<float>>);
template void sgd_step(const SgdParams&, std::span<const StepTensor<double>>);
template void adam_step(const AdamParams&, std::span<const StepTensor<float>>);
template void adam_step(const AdamParams&, std::span<const StepTensor<double>>);

}  // namespace lookalike::cpu
