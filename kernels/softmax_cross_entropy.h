// Cross-entropy of the softmax of logits x[n, c] with one class k_i in [0, c) for each row:
//   sum_i log sum_j exp x_ij - x_ik
// Exponentials are of differences from a row's largest logit.
#pragma once

#include <cstdint>

#include "kernels/contrastive.h"

namespace lookalike {
namespace cpu {

// Sums of the loss and, as active, of the rows with a logit above that of their class. workspace[2 n]; dx[n, c], the gradient
// of scale * loss, overwritten; it may be x.
template <class T>
DistanceSums softmax_cross_entropy(const T* x, const int32_t* classes, int64_t n, int64_t c, double scale,
                                   double* workspace, T* dx);

}  // namespace cpu

// For T = float and bf16, arithmetic in float.
namespace cuda {

// In bytes.
int64_t softmax_cross_entropy_workspace(int64_t n);
// *loss = scale * the sum; classes[n] in device memory like everything else; sums overwritten, with distances of 0.
template <class T>
void softmax_cross_entropy(const T* x, const int32_t* classes, int64_t n, int64_t c, double scale, void* workspace,
                           T* dx, float* loss, DistanceSums* sums, gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
