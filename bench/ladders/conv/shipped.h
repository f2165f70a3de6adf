// The shipped convolution, as the steps that time it call it.
#pragma once

#include "bench/ladders/conv/conv.h"
#include "kernels/conv2d.h"

namespace lookalike::ladder {

template <class T>
void run_shipped(const Task& t, const T* x, T* y, bool tf32) {
  const Conv v(t.sizes);
  const Conv2dParams p{.batch = v.batch,
                       .in_h = v.in_h,
                       .in_w = v.in_w,
                       .in_c = v.in_c,
                       .out_c = v.out_c,
                       .kernel_h = v.kernel,
                       .kernel_w = v.kernel,
                       .stride = v.stride,
                       .pad_top = v.pad,
                       .pad_left = v.pad,
                       .pad_bottom = v.pad,
                       .pad_right = v.pad,
                       .tf32 = tf32};
  const Scratch<T> workspace = scratch<T>(cuda::conv2d_workspace<T>(p).forward, t.stream);
  cuda::conv2d_forward(p, x, t.b, nullptr, y, nullptr, {}, workspace.get(), t.stream);
}

}  // namespace lookalike::ladder
