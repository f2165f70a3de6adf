#pragma once

#include "engine/autograd/variable.h"
#include "kernels/depthwise_conv2d.h"

namespace lookalike {

struct DepthwiseConv2dOptions {
  int64_t stride = 1, padding = 0;
  bool same = false;  // TensorFlow's padding (padding.h) instead of `padding`
  Activation activation;
};

// x [N,H,W,C], w [R,S,C], bias [C] or undefined -> [N,H',W',C]: each channel with a filter of its own. Definition:
// kernels/depthwise_conv2d.h.
Variable depthwise_conv2d(const Variable& x, const Variable& w, const Variable& bias,
                          const DepthwiseConv2dOptions& options = {});

// Of shapes and options that fit; an Error on others.
DepthwiseConv2dParams depthwise_conv2d_params(const Shape& x, const Variable& w, const Variable& bias,
                                              const DepthwiseConv2dOptions& options);

}  // namespace lookalike
