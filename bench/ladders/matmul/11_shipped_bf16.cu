// Step 11: the shipped kernel with bf16: half the bytes and m16n8k16, twice the products an instruction; ldmatrix brings both operands,
// transposing the one that lies across the depth on the way.
#include "bench/ladders/ladder.h"
#include "kernels/gpu/gemm_output.h"

namespace lookalike::ladder {
namespace {

void run(const Task& t) {
  const int m = t.sizes[0], n = t.sizes[1], k = t.sizes[2];
  constexpr int kVector = 16 / sizeof(bf16);
  const gpu::GemmPlan plan = gpu::plan_gemm<gpu::Math::bf16>(m, n, k, true, false);
  gpu::gemm<gpu::Math::bf16>("shipped_bf16", plan, gpu::MatrixSource<bf16, true, kVector>{t.a16, m, k},
                             gpu::MatrixSource<bf16, false, kVector>{t.b16, n, k},
                             gpu::StoreRows<float>{{nullptr, AnyActivation({}), n}, t.c}, nullptr, t.stream);
}

[[maybe_unused]] const bool registered = add_step({.ladder = "matmul",
                                                   .name = "11 shipped, bf16",
                                                   .idea = "half the bytes, ldmatrix, m16n8k16",
                                                   .run = run,
                                                   .tolerance = 1e-5,
                                                   .bf16 = true});

}  // namespace
}  // namespace lookalike::ladder
