#pragma once

#include "engine/autograd/variable.h"
#include "kernels/activation.h"

namespace lookalike {

// Sizes are PyTorch's: H' = (H - 1) * stride - 2 * padding + R + output_padding.
struct ConvTranspose2dOptions {
  int64_t stride = 1, padding = 0;
  // Rows at the bottom and columns at the right, below `stride`; or -1: the last ones are left out. With a 3x3 kernel and
  // stride 2 both {.padding = 1, .output_padding = 1} and {.padding = 0, .output_padding = -1} double an image: the first
  // is usual with PyTorch, the second is Keras's padding "same".
  int64_t output_padding = 0;
  Activation activation;
};

// x [N,H,W,C], w [C,R,S,K], bias [K] or undefined -> [N,H',W',K]:
//   y[n,i,j,k] = f(bias[k] + sum of x[n,h,v,c] * w[c,r,s,k] over all h * stride + r - padding = i and
//                v * stride + s - padding = j)
// The weights are those of the convolution y -> x whose adjoint this is, [out,R,S,in] (kernels/conv2d.h); PyTorch's
// [C,K,R,S] become ours by the same permutation as a convolution's.
Variable conv_transpose2d(const Variable& x, const Variable& w, const Variable& bias,
                          const ConvTranspose2dOptions& options = {});

}  // namespace lookalike
