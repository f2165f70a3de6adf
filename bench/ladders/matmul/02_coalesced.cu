// Step 2: the same, with the columns along the warp: b and c are read and written in whole lines of 128 bytes, a is the
// same word for the whole warp. Expect several times the speed of step 1; each product still costs two loads.
#include "bench/ladders/ladder.h"
#include "kernels/gpu/kernel.h"

namespace lookalike::ladder {
namespace {

__global__ void coalesced(int m, int n, int k, const float* a, const float* b, float* c) {
  const int i = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  const int j = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= m || j >= n) return;
  float sum = 0;
  for (int p = 0; p < k; p++) sum += a[int64_t{i} * k + p] * b[int64_t{p} * n + j];
  c[int64_t{i} * n + j] = sum;
}

void run(const Task& t) {
  const int m = t.sizes[0], n = t.sizes[1], k = t.sizes[2];
  const dim3 grid(gpu::ceil_divide(n, 32), gpu::ceil_divide(m, 8));
  gpu::launch({"coalesced", grid, dim3(32, 8), t.stream}, coalesced, m, n, k, t.a, t.b, t.c);
}

[[maybe_unused]] const bool registered =
    add_step({"matmul", "02 coalesced", "columns along the warp: whole lines", run});

}  // namespace
}  // namespace lookalike::ladder
