// Products by the core of kernels/gpu/gemm.h with a plan of the test's choice: nvcc compiles those, not the tests.
#pragma once

#include "kernels/bf16.h"
#include "kernels/gpu/device.h"

namespace lookalike::testing {

// c[m,n] = a[m,k] b[k,n], or `transposed`: a[k,m] b[n,k]. Inner sizes are multiples of 8.
struct GemmCase {
  int tile;  // 0: 128 x 128, 1: 128 x 64, 2: 64 x 64, 3: 128 x 32
  int splits;
  int m, n, k;
  bool transposed, staged, tf32;
};
// workspace: splits * m * n floats.
void run_gemm(const GemmCase& x, const float* a, const float* b, float* c, float* workspace);
void run_gemm(const GemmCase& x, const bf16* a, const bf16* b, float* c, float* workspace);

}  // namespace lookalike::testing
