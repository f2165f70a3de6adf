// Step 8: the shipped kernel, kernels/gpu/gemm.h, on the ordinary cores: cp.async fills a ring of three buffers without passing through
// registers, tiles keep the order of memory (no transposing stores) and are read 16 bytes at a time along the depth, a thread has 16x8
// results, and blocks that run together share tiles in the L2 cache.
#include "bench/ladders/ladder.h"
#include "kernels/gpu/gemm_output.h"

namespace lookalike::ladder {
namespace {

void run(const Task& t) {
  const int m = t.sizes[0], n = t.sizes[1], k = t.sizes[2];
  constexpr int kVector = 16 / sizeof(float);
  const gpu::GemmPlan plan = gpu::plan_gemm<gpu::Math::fp32>(m, n, k, true, false);
  gpu::gemm<gpu::Math::fp32>("shipped_fp32", plan, gpu::MatrixSource<float, true, kVector>{t.a, m, k},
                             gpu::MatrixSource<float, false, kVector>{t.b, n, k},
                             gpu::StoreRows<float>{{nullptr, AnyActivation({}), n}, t.c}, nullptr, t.stream);
}

[[maybe_unused]] const bool registered =
    add_step({"matmul", "08 shipped, fp32", "cp.async into a ring of three buffers, 16x8 results", run});

}  // namespace
}  // namespace lookalike::ladder
