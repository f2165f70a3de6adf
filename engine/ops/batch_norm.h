#pragma once

#include "engine/autograd/variable.h"
#include "kernels/activation.h"

namespace lookalike {

struct BatchNormOptions {
  int64_t views = 1;      // the batch is this many views stacked, each normalised by its own statistics
  bool training = true;   // false: the running averages are the statistics
  double momentum = 0.1;  // weight of a new value in the running averages
  double epsilon = 1e-5;
  Activation activation;  // applied to the result
  int64_t max_pool = 1;   // 2: followed by a 2x2 max pool, x must be [N, H, W, C]
};

// Batch normalisation of x [N, C] or [N, H, W, C] over all axes but the last, then activation, then pool: y is x's
// shape, or [N, H / 2, W / 2, C]. gamma, beta, running_mean and running_variance are [C]. In training the running
// averages take each view's mean and unbiased variance in turn, so the result equals separate passes. A view with one
// value per channel has variance 0: its output is f(beta), its gradient 0. Formulas: kernels/batch_norm.h.
Variable batch_norm(const Variable& x, const Variable& gamma, const Variable& beta, Tensor& running_mean,
                    Tensor& running_variance, const BatchNormOptions& options);

}  // namespace lookalike
