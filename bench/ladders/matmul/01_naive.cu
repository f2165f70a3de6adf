// Step 1: one thread computes one element, straight from the definition. Neighbouring threads of a warp have neighbouring
// rows, so every load of a and every store of c touches 32 places k or n elements apart: 32 sectors for 32 values.
#include "bench/ladders/ladder.h"
#include "kernels/gpu/kernel.h"

namespace lookalike::ladder {
namespace {

__global__ void naive(int m, int n, int k, const float* a, const float* b, float* c) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int j = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  if (i >= m || j >= n) return;
  float sum = 0;
  for (int p = 0; p < k; p++) sum += a[int64_t{i} * k + p] * b[int64_t{p} * n + j];
  c[int64_t{i} * n + j] = sum;
}

void run(const Task& t) {
  const int m = t.sizes[0], n = t.sizes[1], k = t.sizes[2];
  const dim3 grid(gpu::ceil_divide(m, 32), gpu::ceil_divide(n, 8));
  gpu::launch({"naive", grid, dim3(32, 8), t.stream}, naive, m, n, k, t.a, t.b, t.c);
}

[[maybe_unused]] const bool registered =
    add_step({"matmul", "01 naive", "one thread an element, rows along the warp", run});

}  // namespace
}  // namespace lookalike::ladder
