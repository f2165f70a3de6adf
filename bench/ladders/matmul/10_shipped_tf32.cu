// Step 10: the shipped kernel with tf32: step 9 with the ring of step 8, 64x64 results a warp and ldmatrix for what lies along the depth.
#include "bench/ladders/ladder.h"
#include "kernels/gpu/gemm_output.h"

namespace lookalike::ladder {
namespace {

void run(const Task& t) {
  const int m = t.sizes[0], n = t.sizes[1], k = t.sizes[2];
  constexpr int kVector = 16 / sizeof(float);
  const gpu::GemmPlan plan = gpu::plan_gemm<gpu::Math::tf32>(m, n, k, true, false);
  gpu::gemm<gpu::Math::tf32>("shipped_tf32", plan, gpu::MatrixSource<float, true, kVector>{t.a, m, k},
                             gpu::MatrixSource<float, false, kVector>{t.b, n, k},
                             gpu::StoreRows<float>{{nullptr, AnyActivation({}), n}, t.c}, nullptr, t.stream);
}

[[maybe_unused]] const bool registered = add_step({.ladder = "matmul",
                                                   .name = "10 shipped, tf32",
                                                   .idea = "the ring of 08, 64x64 results a warp",
                                                   .run = run,
                                                   .tolerance = 1e-3});

}  // namespace
}  // namespace lookalike::ladder
