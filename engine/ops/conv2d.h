#pragma once

#include "engine/autograd/variable.h"
#include "kernels/activation.h"

namespace lookalike {

struct Conv2dOptions {
  int64_t stride = 1, padding = 0;
  bool same = false;  // TensorFlow's padding (padding.h) instead of `padding`
  Activation activation;
  int64_t max_pool = 1;  // 2: 2x2 max pooling, stride 2, of the activated output
  // Above 0, without activation and pooling: a batch norm over so many stacked views follows. On the GPU its statistics are
  // then taken on the way out and go along with the result.
  int64_t statistics_views = 0;
};

// x [N,H,W,C], w [K,R,S,C], bias [K] or undefined -> [N,H',W',K]. Definition: kernels/conv2d.h.
Variable conv2d(const Variable& x, const Variable& w, const Variable& bias, const Conv2dOptions& options = {});

// Weights that do not change any more, as the CPU goes over them.
Tensor pack_conv2d(const Variable& w, const Variable& bias);
// The convolution with them, for evaluation: no gradients. `shortcut`, like the result or undefined, is added before the activation; then
// there is no pooling. On the GPU w and bias are what counts.
Variable conv2d_packed(const Variable& x, const Variable& w, const Variable& bias, const Tensor& packed,
                       const Conv2dOptions& options, const Variable& shortcut = {});

}  // namespace lookalike
