// An inverted bottleneck for evaluation, in NHWC: a pointwise convolution to more channels, a depthwise one over each of them, a
// pointwise one to few.
//   y = f(project(depthwise(expand(x))) + plus)
// What expand makes never is a tensor in memory: a block of its channels at a time goes to the depthwise convolution in a core's cache, and from
// there, where there are rows enough for the threads, a band of rows of all channels to the last one.
#pragma once

#include "kernels/conv2d.h"
#include "kernels/depthwise_conv2d.h"

namespace lookalike {

struct InvertedBottleneckParams {
  Conv2dParams expand;              // 1x1; out_c 0: none, x has the channels of the middle
  DepthwiseConv2dParams depthwise;  // of its output
  Conv2dParams project;             // 1x1, of the depthwise one's; its activation is f
};

namespace cpu {

// Floats; with the present number of threads.
int64_t inverted_bottleneck_workspace(const InvertedBottleneckParams& p);

// y[batch, out_h, out_w, project.out_c] overwritten. expand and project as conv2d_pack() made them; depthwise [kernel_h, kernel_w, channels]
// with its bias [channels], or null; plus, like y, may be null. The activations of expand and depthwise are no sigmoids.
void inverted_bottleneck_forward(const InvertedBottleneckParams& p, const float* x, const float* expand,
                                 const float* depthwise, const float* depthwise_bias, const float* project,
                                 const float* plus, float* y, float* workspace);

}  // namespace cpu
}  // namespace lookalike
