// NT-Xent, the normalised temperature-scaled cross-entropy between two views (InfoNCE, symmetric: van den Oord et al.
// 2018; Chen et al., "SimCLR", ICML 2020; here in the two-tower form of CLIP). Rows i of a[n, d] and b[n, d] are
// partners, s_ij = a_i . b_j / temperature, and
//   loss = 1 / 2n sum_i (log sum_j exp s_ij - s_ii) + (log sum_j exp s_ji - s_ii)
// Similarities live in blocks of rows, never as an n x n array; what backward needs of them is computed again.
#pragma once

#include <cstdint>

#include "kernels/contrastive.h"

namespace lookalike {
namespace cpu {

struct NtXentSums {
  double loss = 0;     // of both directions, before the division by 2n
  int64_t active = 0;  // of the 2n rows, those whose partner is not the most similar one
};

// Elements of the workspace: O(n d).
template <class T>
int64_t nt_xent_workspace(int64_t n, int64_t d);

// da[n, d], db[n, d]: the gradients of the loss, overwritten.
template <class T>
NtXentSums nt_xent(const T* a, const T* b, int64_t n, int64_t d, double temperature, T* workspace, T* da, T* db);

}  // namespace cpu

namespace cuda {

// Elements of the workspace: O(n d).
int64_t nt_xent_workspace(int64_t n, int64_t d);
// e[2n, d]: a, then b. Everything in one call: de[2n, d], the gradient of the loss; *loss; sums: loss and active as above,
// and the distances of all partners and of each (i, n + (i + 1) mod n). All of them in device memory, overwritten.
void nt_xent(const float* e, int64_t n, int64_t d, double temperature, float* workspace, float* de, float* loss,
             DistanceSums* sums, gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
