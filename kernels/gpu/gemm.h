// The matrix product that linear layers and convolutions share: c[m, n] = epilogue(sum over k of a(m, k) b(n, k)).
//
//   gemm<Math::tf32>("matmul_nt", plan_gemm<Math::tf32>(m, n, k), a, b, epilogue, workspace, stream);
//
// a and b are Sources (gemm_load.h): m = a.outer_size, n = b.outer_size, k = the depth_size of both. Elements are float for fp32 and
// tf32, bf16 for bf16; sums are float.
//
// A block computes one tile of c in steps of 64 bytes of depth. cp.async brings the tiles of a and b into a ring of kStages
// buffers while the warps multiply the oldest (gemm_multiply.h): a tile of 128x128 and depth 16 is 2 * 128 * 16 floats loaded for
// 2 * 128 * 128 * 16 operations, 32 per byte. One barrier a step.
//
// Epilogue: what happens to the sums; a functor passed by value. The sums go to shared memory first (the ring, which is done), and from there
// to the epilogue in a loop: straight from the registers its code would stand there 64 times and more, and the multiprocessor would wait for
// instructions longer than for anything else.
//   static constexpr bool kWholeTile = false;
//   __device__ void operator()(int m, int n, const float (&sums)[kGemmRun], int valid) const;
//     gets runs of neighbouring columns of one row: n is a multiple of kGemmRun, m is inside, and the first `valid` columns are: 1 or more, and
//     kGemmRun or more where all are.
//   static constexpr bool kWholeTile = true;
//   template <class Staged> __device__ void operator()(const Staged& tile, int m, int n) const;
//     gets the whole tile, after a barrier: tile.at(i, j) is the sum of row m + i and column n + j, zero where that lies outside (as long as the
//     operands are finite), i < Staged::kM, j < Staged::kN, rows Staged::kStride floats apart and 16-byte aligned. All Staged::kThreads
//     threads call it. The depth cannot be split then.
//
// Split depth: where c has too few tiles for the device, blockIdx.y takes a share of the depth each; shares go to the workspace as
// [splits][m][n] floats, and a second kernel adds them in order and calls the epilogue. Same bits each run.
#pragma once

#include <algorithm>
#include <type_traits>

#include "kernels/gpu/elementwise.h"
#include "kernels/gpu/gemm_multiply.h"

namespace lookalike::gpu {

// Tiles: the block's, and the warps' in it. A warp's piece of 64 x 64 reads a third less shared memory for each product than one of
// 64 x 32, and shared memory is what mma.sync waits for first; it takes the registers of eight warps on a multiprocessor.
enum class GemmTile { large, tall, small, narrow };
constexpr int tile_m(GemmTile tile) {
  return tile == GemmTile::small ? 64 : 128;
}
constexpr int tile_n(GemmTile tile) {
  return tile == GemmTile::large ? 128 : tile == GemmTile::narrow ? 32 : 64;
}
template <GemmTile kTile>
struct GemmShape {
  static constexpr int kM = tile_m(kTile), kN = tile_n(kTile);
  static constexpr int kWarpM = kTile == GemmTile::large || kTile == GemmTile::tall ? 64 : 32;
  static constexpr int kWarpN = kWarpM;
  static constexpr int kBlocks = kTile == GemmTile::large ? 2 : 4;  // on a multiprocessor
};
template <class Shape>
constexpr int kGemmThreads = Shape::kM / Shape::kWarpM*(Shape::kN / Shape::kWarpN) * kWarp;

constexpr int kGemmStages = 3;
constexpr int kGemmRun = 4;  // sums that an epilogue gets at a time

struct GemmPlan {
  GemmTile tile;
  int splits;
};

// Floats of workspace.
inline int64_t gemm_workspace(const GemmPlan& plan, int64_t m, int64_t n) {
  return plan.splits > 1 ? plan.splits * m * n : 0;
}

// The tile and split with the shortest estimated time. `vector`: both Sources load more than one element at a time; if
// not, only the small tile exists.
template <Math kMath>
GemmPlan plan_gemm(int64_t m, int64_t n, int64_t k, bool vector = true, bool may_split = true) {
  const int64_t steps = std::max<int64_t>(1, ceil_divide<int64_t>(k, kTileDepth<kMath>));
  GemmPlan best{GemmTile::small, 1};
  double best_time = INFINITY;
  for (const GemmTile tile : {GemmTile::large, GemmTile::tall, GemmTile::small, GemmTile::narrow}) {
    if (!vector && tile != GemmTile::small) continue;
    const int64_t tiles = ceil_divide<int64_t>(m, tile_m(tile)) * ceil_divide<int64_t>(n, tile_n(tile));
    // Relative to the large tile: small ones load more for each product.
    const double step = tile_m(tile) * tile_n(tile) *
                        (tile == GemmTile::large  ? 1
                         : tile == GemmTile::tall ? 1.15
                                                  : 1.4);
    for (int splits = 1; splits <= 64; splits *= 2) {
      if (splits > 1 && (!may_split || steps / splits < 8)) break;
      // A multiprocessor works off its blocks; the start of each costs as much as some steps.
      const int64_t waves = ceil_divide<int64_t>(tiles * splits, limits().multiprocessors);
      double time = static_cast<double>(waves) * step * static_cast<double>(ceil_divide<int64_t>(steps, splits) + 6);
      // The second kernel reads all shares once and costs a launch.
      if (splits > 1) time += 64.0 * 64 * 100 + 8.0 * static_cast<double>(m * n) * splits / limits().multiprocessors;
      if (time < best_time) best_time = time, best = {tile, splits};
    }
  }
  return best;
}

// See the head of the file. kRun: of the columns that a lane has side by side.
template <int kM_, int kN_, int kThreads_, int kRun>
struct StagedTile {
  static constexpr int kM = kM_, kN = kN_, kThreads = kThreads_;
  // Runs of two of 4 rows x 4 lanes, or of four of 2 rows, 4 apart, x 4 lanes: on different banks.
  static constexpr int kStride = kN + (kRun == 2 ? 8 : 4);
  float* data;
  __device__ float& at(int i, int j) const { return data[i * kStride + j]; }
};

// A run of a row of n columns: all runs of the row are whole and aligned if n is a multiple of their length, else only the
// first `valid` columns are there.
template <class T, int kRun>
__device__ void store_run(T* to, const Pack<T, kRun>& run, int n, int valid) {
  if (n % kRun == 0) return store(to, run);
#pragma unroll
  for (int x = 0; x < kRun; x++) {
    if (x < valid) to[x] = run.x[x];
  }
}

// The other way; columns that are not there are zeros.
template <int kRun, class T>
__device__ Pack<T, kRun> load_run(const T* from, int n, int valid) {
  if (n % kRun == 0) return load<kRun>(from);
  Pack<T, kRun> run;
#pragma unroll
  for (int x = 0; x < kRun; x++) run.x[x] = x < valid ? from[x] : from_float<T>(0.0f);
  return run;
}

template <Math kMath, class Shape, class A, class B, class Epilogue>
struct GemmKernel {
  using Element = std::conditional_t<kMath == Math::bf16, bf16, float>;
  static_assert(std::is_same_v<typename A::Element, Element> && std::is_same_v<typename B::Element, Element>);
  using Product = WarpProduct<kMath, Shape::kWarpM, Shape::kWarpN>;
  static constexpr int kThreads = kGemmThreads<Shape>;
  static constexpr int kDepth = kTileDepth<kMath>;
  using TileA = SharedTile<A, Shape::kM, kDepth, Product::kLanesM>;
  using TileB = SharedTile<B, Shape::kN, kDepth, Product::kLanesN>;
  using Staged = StagedTile<Shape::kM, Shape::kN, kThreads, Product::kRun>;
  // Loads of single elements take more registers for addresses, and those of bf16 some to wait in.
  static constexpr bool kSingle = A::kVector == 1 || B::kVector == 1;
  static constexpr int kBlocks = kSingle ? 2 : Shape::kBlocks;
  static constexpr int kStageSize = TileA::kSize + TileB::kSize;
  static constexpr int kRingBytes = kGemmStages * kStageSize * static_cast<int>(sizeof(Element));
  static constexpr int kStagedBytes = Staged::kM * Staged::kStride * static_cast<int>(sizeof(float));
  static constexpr int kSharedBytes = std::max(kRingBytes, kStagedBytes);

  // Blocks that run at the same time share columns of b's tiles and rows of a's: the tiles are numbered in bands of kBand
  // tiles along n, in each band row by row.
  static constexpr int kBand = 8;
  static __device__ int2 place(int m, int n) {
    const int tiles_m = ceil_divide(m, Shape::kM), tiles_n = ceil_divide(n, Shape::kN);
    const int tile = static_cast<int>(blockIdx.x), band = tile / (kBand * tiles_m),
              in_band = tile - band * kBand * tiles_m;
    const int width = min(kBand, tiles_n - band * kBand);
    return make_int2(in_band / width * Shape::kM, (band * kBand + in_band % width) * Shape::kN);
  }
};

template <Math kMath, class Shape, class A, class B, class Epilogue>
__global__ __launch_bounds__(kGemmThreads<Shape>, GemmKernel<kMath, Shape, A, B, Epilogue>::kBlocks) void gemm_kernel(
    A a, B b, Epilogue epilogue, int depth_per_split, float* partials) {
  using Kernel = GemmKernel<kMath, Shape, A, B, Epilogue>;
  using Element = typename Kernel::Element;
  using TileA = typename Kernel::TileA;
  using TileB = typename Kernel::TileB;
  LOOKALIKE_DYNAMIC_SHARED(Element, ring);

  const int2 place = Kernel::place(a.outer_size, b.outer_size);
  const int begin = static_cast<int>(blockIdx.y) * depth_per_split, end = min(begin + depth_per_split, a.depth_size);

  TileLoader<A, TileA, Kernel::kThreads> load_a(a, place.x);
  TileLoader<B, TileB, Kernel::kThreads> load_b(b, place.y);
  // The tiles at depth k go to buffer `slot`. Each start() is one cp.async group, even if there is nothing left to load.
  const auto start = [&](int k, int slot) {
    Element* const buffer = ring + slot * Kernel::kStageSize;
    if (k < end) {
      load_a.start(a, k, end, buffer);
      load_b.start(b, k, end, buffer + TileA::kSize);
    }
    cp_async_commit();
  };
  const auto finish = [&](int k, int slot) {
    Element* const buffer = ring + slot * Kernel::kStageSize;
    if (k < end) {
      load_a.finish(buffer);
      load_b.finish(buffer + TileA::kSize);
    }
  };

  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  constexpr int kWarpsM = Shape::kM / Shape::kWarpM;
  const int warp_m = warp % kWarpsM * Shape::kWarpM, warp_n = warp / kWarpsM * Shape::kWarpN;
  typename Kernel::Product product;

  constexpr int kAhead = kGemmStages - 1;
#pragma unroll
  for (int i = 0; i < kAhead; i++) {
    start(begin + i * Kernel::kDepth, i);
    finish(begin + i * Kernel::kDepth, i);
  }
  int from = 0, to = kAhead;  // the buffers that are multiplied and loaded
  for (int k = begin; k < end; k += Kernel::kDepth) {
    cp_async_wait<kAhead - 1>();
    __syncthreads();  // this step's tiles are there for all, and all are done with the buffer that is loaded next
    const auto start_next = [&] { start(k + kAhead * Kernel::kDepth, to); };
    const Element* const buffer = ring + from * Kernel::kStageSize;
    if constexpr (Kernel::kSingle) {  // there are no registers to do both at a time
      start_next();
      product.template add<TileA, TileB>(buffer, warp_m, buffer + TileA::kSize, warp_n, [] {});
    } else {
      product.template add<TileA, TileB>(buffer, warp_m, buffer + TileA::kSize, warp_n, start_next);
    }
    finish(k + kAhead * Kernel::kDepth, to);
    from = from == kAhead ? 0 : from + 1;
    to = to == kAhead ? 0 : to + 1;
  }

  __syncthreads();  // the ring becomes the staged tile
  const typename Kernel::Staged tile{reinterpret_cast<float*>(ring)};
  product.for_each_run([&](int row, int column, const auto& values) {
    Pack<float, Kernel::Product::kRun> run;
#pragma unroll
    for (int i = 0; i < Kernel::Product::kRun; i++) run.x[i] = values[i];
    store(&tile.at(warp_m + row, warp_n + column), run);
  });
  __syncthreads();
  if constexpr (Epilogue::kWholeTile) {
    epilogue(tile, place.x, place.y);
  } else {
    const int m = a.outer_size, n = b.outer_size;
    constexpr int kRuns = Shape::kN / kGemmRun;
#pragma unroll 2
    for (int r = static_cast<int>(threadIdx.x); r < Shape::kM * kRuns; r += Kernel::kThreads) {
      const int row = r / kRuns, column = r % kRuns * kGemmRun, i = place.x + row, j = place.y + column;
      if (i >= m || j >= n) continue;
      const auto run = load<kGemmRun>(&tile.at(row, column));
      if (gridDim.y == 1)
        epilogue(i, j, run.x, n - j);
      else
        store_run(partials + (int64_t{blockIdx.y} * m + i) * n + j, run, n, n - j);
    }
  }
}

// Adds the shares of the depth; a thread has a run of columns.
template <class Epilogue>
__global__ void gemm_sum_kernel(int m, int n, int splits, const float* partials, Epilogue epilogue) {
  constexpr int kRun = kGemmRun;
  const int runs = ceil_divide(n, kRun);
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (index >= int64_t{m} * runs) return;
  const int i = static_cast<int>(index / runs), j = static_cast<int>(index % runs) * kRun, valid = n - j;
  float sums[kRun] = {};
  for (int split = 0; split < splits; split++) {
    const float* const from = partials + (int64_t{split} * m + i) * n + j;
    const Pack<float, kRun> share = load_run<kRun>(from, n, valid);
#pragma unroll
    for (int x = 0; x < kRun; x++) sums[x] += share.x[x];
  }
  epilogue(i, j, sums, valid);
}

namespace detail {

template <Math kMath, GemmTile kTile, class A, class B, class Epilogue>
void launch_gemm(const char* name, int splits, const A& a, const B& b, const Epilogue& epilogue, float* workspace,
                 Stream stream) {
  using Shape = GemmShape<kTile>;
  using Kernel = GemmKernel<kMath, Shape, A, B, Epilogue>;
  const int64_t tiles = ceil_divide<int64_t>(a.outer_size, Shape::kM) * ceil_divide<int64_t>(b.outer_size, Shape::kN);
  const int depth = ceil_divide(ceil_divide(a.depth_size, splits), Kernel::kDepth) * Kernel::kDepth;
  launch({name, dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(splits)), dim3(Kernel::kThreads), stream,
          Kernel::kSharedBytes},
         gemm_kernel<kMath, Shape, A, B, Epilogue>, a, b, epilogue, depth, workspace);
}

}  // namespace detail

// `workspace`: gemm_workspace(plan, m, n) floats.
template <Math kMath, class A, class B, class Epilogue>
void gemm(const char* name, const GemmPlan& plan, const A& a, const B& b, const Epilogue& epilogue, float* workspace,
          Stream stream) {
  constexpr bool kVector = A::kVector > 1 && B::kVector > 1;
  if constexpr (kVector) {
    if (plan.tile == GemmTile::large)
      detail::launch_gemm<kMath, GemmTile::large>(name, plan.splits, a, b, epilogue, workspace, stream);
    else if (plan.tile == GemmTile::tall)
      detail::launch_gemm<kMath, GemmTile::tall>(name, plan.splits, a, b, epilogue, workspace, stream);
    else if (plan.tile == GemmTile::narrow)
      detail::launch_gemm<kMath, GemmTile::narrow>(name, plan.splits, a, b, epilogue, workspace, stream);
  }
  if (!kVector || plan.tile == GemmTile::small)
    detail::launch_gemm<kMath, GemmTile::small>(name, plan.splits, a, b, epilogue, workspace, stream);
  if constexpr (!Epilogue::kWholeTile) {
    if (plan.splits > 1) {
      const int64_t threads = int64_t{a.outer_size} * ceil_divide(b.outer_size, kGemmRun);
      constexpr int kThreads = 256;
      launch({name, dim3(static_cast<unsigned>(ceil_divide<int64_t>(threads, kThreads))), dim3(kThreads), stream},
             gemm_sum_kernel<Epilogue>, a.outer_size, b.outer_size, plan.splits, workspace, epilogue);
    }
  }
}

}  // namespace lookalike::gpu
