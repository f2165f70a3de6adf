// Barlow Twins (Zbontar et al., "Barlow Twins: self-supervised learning via redundancy reduction", ICML 2021). The columns of
// two views z[n, d] are standardised over the batch, as the authors' code does it by batch norm without gain and shift: with
// the biased variance and an epsilon of 1e-5 beside it. Then, with C = z1^T z2 / n,
//   loss = sum_i (1 - C_ii)^2 + lambda sum_(i != j) C_ij^2
// A column without variance, such as each of a batch of one, is all zeros: C is 0 there, and so are the gradients.
// Statistics and products are those of batch_norm.h and matmul.h; here is what lies between them.
#pragma once

#include <cstdint>

#include "kernels/gpu/device.h"

namespace lookalike {
namespace cpu {

// Elements of the workspace.
inline int64_t barlow_twins_workspace(int64_t d) {
  return d;
}
// *loss, overwritten, of c[d, d] = z1^T z2, not yet divided by n, which turns into the gradient with respect to it.
template <class T>
void barlow_twins(T* c, int64_t d, int64_t n, double lambda, double* workspace, T* loss);

}  // namespace cpu

namespace cuda {

int64_t barlow_twins_workspace(int64_t d);
void barlow_twins(float* c, int64_t d, int64_t n, double lambda, double* workspace, float* loss, gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
