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

// A convolution whose weights do not change any more, for evaluation: no gradients.
struct PackedConv2d {
  Variable weight, bias;
  Conv2dOptions options;
  Tensor packed;  // weight and bias as the CPU goes over them, made by pack(); the GPU takes those themselves, and has none

  void pack();
};
// `shortcut`, like the result or undefined, is added before the activation; then there is no pooling.
Variable conv2d(const Variable& x, const PackedConv2d& conv, const Variable& shortcut = {});
// The channels of a(x), and behind them those of b(x), which are of the same height and width; without pooling.
Variable conv2d_side_by_side(const Variable& x, const PackedConv2d& a, const PackedConv2d& b);

}  // namespace lookalike
