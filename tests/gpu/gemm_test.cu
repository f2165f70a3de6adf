#include "kernels/gpu/gemm.h"
#include "tests/gpu/gemm_test.h"

namespace lookalike::testing {
namespace {

using gpu::GemmTile;
using gpu::Math;

struct StoreRuns {
  static constexpr bool kWholeTile = false;
  float* c;
  int n;
  __device__ void operator()(int i, int j, const float (&sums)[gpu::kGemmRun], int valid) const {
    for (int x = 0; x < gpu::kGemmRun; x++) {
      if (x < valid) c[int64_t{i} * n + j + x] = sums[x];
    }
  }
};

struct StoreTile {
  static constexpr bool kWholeTile = true;
  float* c;
  int m, n;
  template <class Staged>
  __device__ void operator()(const Staged& tile, int m0, int n0) const {
    for (int x = static_cast<int>(threadIdx.x); x < Staged::kM * Staged::kN; x += Staged::kThreads) {
      const int i = x / Staged::kN, j = x % Staged::kN;
      if (m0 + i < m && n0 + j < n) c[int64_t{m0 + i} * n + n0 + j] = tile.at(i, j);
    }
  }
};

template <Math kMath, bool kTransposed, class Epilogue>
void run(const GemmCase& x, const void* a, const void* b, float* workspace, const Epilogue& epilogue) {
  using T = std::conditional_t<kMath == Math::bf16, bf16, float>;
  constexpr int kVector = 16 / sizeof(T);
  const gpu::GemmPlan plan{static_cast<GemmTile>(x.tile), x.splits};
  gpu::gemm<kMath>("gemm_test", plan, gpu::MatrixSource<T, !kTransposed, kVector>{static_cast<const T*>(a), x.m, x.k},
                   gpu::MatrixSource<T, kTransposed, kVector>{static_cast<const T*>(b), x.n, x.k}, epilogue, workspace,
                   gpu::compute_stream());
}

template <Math kMath>
void run(const GemmCase& x, const void* a, const void* b, float* c, float* workspace) {
  const StoreRuns runs{c, x.n};
  const StoreTile tile{c, x.m, x.n};
  if (x.transposed)
    x.staged ? run<kMath, true>(x, a, b, workspace, tile) : run<kMath, true>(x, a, b, workspace, runs);
  else
    x.staged ? run<kMath, false>(x, a, b, workspace, tile) : run<kMath, false>(x, a, b, workspace, runs);
}

}  // namespace

void run_gemm(const GemmCase& x, const float* a, const float* b, float* c, float* workspace) {
  x.tf32 ? run<Math::tf32>(x, a, b, c, workspace) : run<Math::fp32>(x, a, b, c, workspace);
}
void run_gemm(const GemmCase& x, const bf16* a, const bf16* b, float* c, float* workspace) {
  run<Math::bf16>(x, a, b, c, workspace);
}

}  // namespace lookalike::testing
