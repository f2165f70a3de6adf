// Losses between y and targets t of the same shape, element by element; sums over all elements n:
//   bce_with_logits  max(y, 0) - y t + log(1 + exp(-|y|))              binary cross-entropy of sigmoid(y)
//   bce              -t max(log y, -100) - (1 - t) max(log(1 - y), -100)   of probabilities
//   mse              (y - t)^2
// The clamp of the logarithms, and the slope (y - t) / max(y (1 - y), 1e-12) beside it, are PyTorch's. Targets of both
// cross-entropies lie in [0, 1].
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/gpu/device.h"
#include "kernels/host_device.h"

namespace lookalike {

enum class PointwiseLoss : uint8_t { bce_with_logits, bce, mse };

// Of one element: its part of the loss, and that part's derivative with respect to y.
template <class T>
struct PointLoss {
  T loss, slope;
};

// The formulas, once for CPU and GPU; Math has their functions. NaN passes: a broken network must show.
template <class T, class Math>
struct BceWithLogits {
  LOOKALIKE_HOST_DEVICE PointLoss<T> operator()(T y, T t) const {
    const T e = Math::exp(y > 0 ? -y : y), sigmoid = (y > 0 ? T(1) : e) / (1 + e);
    return {(y > 0 ? y : T(0)) - y * t + Math::log1p(e), sigmoid - t};
  }
};
template <class T, class Math>
struct Bce {
  LOOKALIKE_HOST_DEVICE PointLoss<T> operator()(T y, T t) const {
    const T log_y = Math::log(y), log_rest = Math::log1p(-y), spread = y * (1 - y),
            least = 1e-12f;  // as a float in PyTorch too
    return {-t * (log_y < -100 ? T(-100) : log_y) - (1 - t) * (log_rest < -100 ? T(-100) : log_rest),
            (y - t) / (spread < least ? least : spread)};
  }
};
template <class T, class Math>
struct SquaredError {
  LOOKALIKE_HOST_DEVICE PointLoss<T> operator()(T y, T t) const { return {(y - t) * (y - t), 2 * (y - t)}; }
};

// The functions of the standard library.
struct ExactMath {
  template <class T>
  LOOKALIKE_HOST_DEVICE static T exp(T x) {
    return std::exp(x);
  }
  template <class T>
  LOOKALIKE_HOST_DEVICE static T log(T x) {
    return std::log(x);
  }
  template <class T>
  LOOKALIKE_HOST_DEVICE static T log1p(T x) {
    return std::log1p(x);
  }
};

// Calls body(functor) with the functor of `loss`.
template <class T, class Math, class Body>
void with_pointwise_loss(PointwiseLoss loss, const Body& body) {
  switch (loss) {
    case PointwiseLoss::bce_with_logits:
      return body(BceWithLogits<T, Math>{});
    case PointwiseLoss::bce:
      return body(Bce<T, Math>{});
    case PointwiseLoss::mse:
      return body(SquaredError<T, Math>{});
  }
}

namespace cpu {

// Elements of the workspace.
int64_t pointwise_loss_workspace(int64_t n);
// Returns the sum of the losses; dy[n], the gradient of scale * that sum, overwritten; it may be y or t.
template <class T>
double pointwise_loss(PointwiseLoss kind, const T* y, const T* t, int64_t n, double scale, double* workspace, T* dy);

}  // namespace cpu

// For T = float and bf16, arithmetic in float.
namespace cuda {

int64_t pointwise_loss_workspace(int64_t n);
// *loss = scale * the sum of the losses; dy[n], its gradient; both overwritten.
template <class T>
void pointwise_loss(PointwiseLoss kind, const T* y, const T* t, int64_t n, double scale, double* workspace, T* dy,
                    float* loss, gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
