#pragma once

#include "engine/ops/conv2d.h"
#include "engine/ops/depthwise_conv2d.h"

namespace lookalike {

// project(depthwise(expand(x))) + shortcut, for evaluation: no gradients. x [N,H,W,C]; expand, pointwise, may be null; w [R,S,E] and bias [E]
// are the depthwise one's; project is pointwise; shortcut, like the result or undefined, is added before project's activation. In float on the CPU
// the many channels of expand never are a tensor. Definition: kernels/inverted_bottleneck.h.
Variable inverted_bottleneck(const Variable& x, const PackedConv2d* expand, const Variable& w, const Variable& bias,
                             const DepthwiseConv2dOptions& options, const PackedConv2d& project,
                             const Variable& shortcut = {});

}  // namespace lookalike
