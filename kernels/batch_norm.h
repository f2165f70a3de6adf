// Batch normalisation over the channels of NHWC activations (Ioffe, Szegedy 2015), with the activation f and, if asked
// for, the 2x2 max pool that follow it, so that neither of their inputs is ever stored:
//   z = (x - mean) / sqrt(variance + epsilon) * gamma + beta,  y = f(z)  or  f(max of z over each 2x2 window)
// A matrix [N, C] is N images of 1x1. The batch is `views` stacked parts of equal length; mean and variance [views, C]
// belong to each of them. Pool windows stand side by side; an odd last row or column belongs to none. Of equal values
// in a window the first gets the gradient. f must not decrease.
#pragma once

#include <cstdint>

#include "kernels/activation.h"

namespace lookalike {

struct BatchNormParams {
  int64_t views, images, height, width, channels;  // images: those of all views, a multiple of views
  double epsilon = 1e-5;
  Activation activation;
  bool pool = false;

  constexpr int64_t view_rows() const { return images / views * height * width; }  // values per channel in a view
  constexpr int64_t pooled_height() const { return pool ? height / 2 : height; }
  constexpr int64_t pooled_width() const { return pool ? width / 2 : width; }
};

namespace cpu {

// Elements of the workspace that statistics and reduce need.
int64_t batch_norm_workspace(const BatchNormParams& p);

// mean, variance [views, C] overwritten; variance is the biased one (divided by the count). Accurate when the mean is
// large beside the deviation: shifted sums, merged by Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm
// for computing sample variances" (1979).
template <class T>
void batch_norm_statistics(const BatchNormParams& p, const T* x, double* workspace, T* mean, T* variance);

// running = (1 - momentum) * running + momentum * (a view's value), one view after the other, [C] in
// place. The running variance takes the unbiased one (divided by count - 1), or nothing from a view
// with one value per channel; views without values change neither.
template <class T>
void batch_norm_update_running(const BatchNormParams& p, const T* mean, const T* variance, double momentum,
                               T* running_mean, T* running_variance);

// y [images, pooled_height, pooled_width, C] overwritten. With pool also x_max, shaped like y: the x that won each
// window, which backward needs; null where there is no backward.
template <class T>
void batch_norm_forward(const BatchNormParams& p, const T* x, const T* mean, const T* variance, const T* gamma,
                        const T* beta, T* y, T* x_max);

// sums [views, 2, C] overwritten: of dz and of dz * (x - mean); dgamma, dbeta [C] overwritten. x is x_max with pool.
template <class T>
void batch_norm_reduce(const BatchNormParams& p, const T* x, const T* mean, const T* variance, const T* gamma,
                       const T* beta, const T* dy, double* workspace, double* sums, T* dgamma, T* dbeta);

// dx overwritten. `sums` from reduce; null when mean and variance are constants (evaluation). x_max only with pool.
template <class T>
void batch_norm_backward(const BatchNormParams& p, const T* x, const T* x_max, const T* mean, const T* variance,
                         const T* gamma, const T* beta, const T* dy, const double* sums, T* dx);

}  // namespace cpu

// The same for activations (x, x_max, y, dy, dx) of T = float and bf16; statistics, gain and shift are float. x has at most
// 2^31 - 2^16 elements.
namespace cuda {

int64_t batch_norm_workspace(const BatchNormParams& p);
template <class T>
void batch_norm_statistics(const BatchNormParams& p, const T* x, double* workspace, float* mean, float* variance,
                           gpu::Stream stream);
// The second half of it: partials[views, blocks, 2, C], mean and sum of squared differences from it over `rows_in_block`
// rows each, the last block of a view maybe fewer.
void batch_norm_merge(const BatchNormParams& p, int64_t blocks, int64_t rows_in_block, const double* partials,
                      float* mean, float* variance, gpu::Stream stream);
void batch_norm_update_running(const BatchNormParams& p, const float* mean, const float* variance, double momentum,
                               float* running_mean, float* running_variance, gpu::Stream stream);
template <class T>
void batch_norm_forward(const BatchNormParams& p, const T* x, const float* mean, const float* variance,
                        const float* gamma, const float* beta, T* y, T* x_max, gpu::Stream stream);
template <class T>
void batch_norm_reduce(const BatchNormParams& p, const T* x, const float* mean, const float* variance,
                       const float* gamma, const float* beta, const T* dy, double* workspace, double* sums,
                       float* dgamma, float* dbeta, gpu::Stream stream);
template <class T>
void batch_norm_backward(const BatchNormParams& p, const T* x, const T* x_max, const float* mean, const float* variance,
                         const float* gamma, const float* beta, const T* dy, const double* sums, T* dx,
                         gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
