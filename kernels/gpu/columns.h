// Row-major matrices whose columns are treated alike, such as the channels of activations. A thread owns a run of neighbouring
// columns, 16 bytes of them where their number divides by that, and walks down the rows of its block. A block is as many
// threads beside each other as the columns need (a power of two, up to a warp), the rest as lines below each other.
//
// Sums: each thread's in float, then the lines of each warp, then the warps in order, then, by a second kernel, the blocks.
// There are at most 2^31 - 2^16 rows.
#pragma once

#include <functional>

#include "kernels/gpu/elementwise.h"

namespace lookalike::gpu {

constexpr int kColumnThreads = 256;

template <class T>
constexpr int kWide = 16 / sizeof(T);

// body(integral_constant) with the length of the runs.
template <class T, class Body>
void with_run(int64_t columns, bool aligned, const Body& body) {
  if (aligned && columns % kWide<T> == 0)
    body(std::integral_constant<int, kWide<T>>{});
  else
    body(std::integral_constant<int, 1>{});
}

// How `parts` matrices below each other are shared out.
struct ColumnLayout {
  dim3 grid, block;  // grid: columns, row blocks, parts
  int rows;          // of a part
  int rows_in_block;

  ColumnLayout(int64_t rows, int64_t columns, int run, int64_t parts = 1) : rows(static_cast<int>(rows)) {
    const int64_t runs = ceil_divide<int64_t>(columns, run);
    unsigned across = 1;
    while (across < runs && across < kWarp) across *= 2;
    block = dim3(across, kColumnThreads / across);
    // Enough blocks to fill the device a few times over, few enough for who adds up their sums.
    const int64_t beside = ceil_divide<int64_t>(runs, across), wanted = int64_t{limits().multiprocessors} * 8;
    constexpr int64_t kMostBlocks = 65535;  // of a grid, in y
    const int64_t steps = std::max(std::clamp<int64_t>(rows * beside * parts / (block.y * wanted), 4, 64),
                                   ceil_divide(rows, block.y * kMostBlocks));
    rows_in_block = static_cast<int>(block.y * steps);
    grid = dim3(static_cast<unsigned>(beside), static_cast<unsigned>(ceil_divide<int64_t>(rows, rows_in_block)),
                static_cast<unsigned>(parts));
  }
};

// What a thread of such a block works on: columns from `column` on, every blockDim.y-th row from `begin` to `end`.
template <int kRun>
struct ColumnShare {
  int column, begin, end;

  __device__ static ColumnShare of(int rows, int rows_in_block) {
    const int first = static_cast<int>(blockIdx.y) * rows_in_block;
    return {static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * kRun, first + static_cast<int>(threadIdx.y),
            min(first + rows_in_block, rows)};
  }

  // use(row, load(row)) for its rows, kTogether loads under way at once.
  template <int kTogether, class Load, class Use>
  __device__ void walk(const Load& load, const Use& use) const {
    const int step = static_cast<int>(blockDim.y);
    for (int first = begin; first < end; first += kTogether * step) {
      decltype(load(0)) loaded[kTogether];
#pragma unroll
      for (int i = 0; i < kTogether; i++) {
        if (first + i * step < end) loaded[i] = load(first + i * step);
      }
#pragma unroll
      for (int i = 0; i < kTogether; i++) {
        if (first + i * step < end) use(first + i * step, loaded[i]);
      }
    }
  }
};

// What all lines have for each column of the block is merged in a fixed order, and one thread for each column below `columns`
// calls store(column, result), in every call the same. `first` is the block's first column. All threads call it.
template <int kRun, class T, class Store, class Merge = std::plus<T>>
__device__ inline void merge_lines(const T (&values)[kRun], int first, int columns, const Store& store,
                                   const Merge& merge = {}) {
  constexpr int kWarps = kColumnThreads / kWarp;
  constexpr int kPitch = kWarp + 128 / static_cast<int>(sizeof(T)) / kRun;  // no two threads read the same bank
  LOOKALIKE_SHARED(T, of_warps, [kWarps][kRun][kPitch]);
  const int thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
  const int lane = thread % kWarp, across = static_cast<int>(blockDim.x);
  __syncthreads();  // of_warps may still be read from the last call
#pragma unroll
  for (int j = 0; j < kRun; j++) {
    T value = values[j];
    for (int distance = kWarp / 2; distance >= across; distance /= 2)
      value = merge(value, __shfl_xor_sync(kAllLanes, value, distance));
    of_warps[thread / kWarp][j][lane] = value;
  }
  __syncthreads();
  if (thread >= across * kRun || first + thread >= columns) return;
  T result = of_warps[0][thread % kRun][thread / kRun];
#pragma unroll
  for (int i = 1; i < kWarps; i++) result = merge(result, of_warps[i][thread % kRun][thread / kRun]);
  store(first + thread, result);
}

// A body for sum_columns: a matrix as it is.
template <class T>
struct PlainColumns {
  const T* a;
  int columns;

  template <int kRun>
  __device__ void add(const ColumnShare<kRun>& share, float (&sums)[kRun]) const {
    const T* const from = a + share.column;
    share.template walk<4>([&](int row) { return load<kRun>(from + int64_t{row} * columns); },
                           [&](int, const Pack<T, kRun>& values) {
#pragma unroll
                             for (int j = 0; j < kRun; j++) sums[j] += to_float(values.x[j]);
                           });
  }
};

template <int kRun, class Body>
__global__ void __launch_bounds__(kColumnThreads)
    sum_columns_kernel(int rows, int rows_in_block, int columns, Body body, float* sums) {
  const auto share = ColumnShare<kRun>::of(rows, rows_in_block);
  float own[kRun] = {};
  if (share.column < columns) body.add(share, own);
  if (sums == nullptr) return;
  merge_lines(own, static_cast<int>(blockIdx.x * blockDim.x) * kRun, columns,
              [&](int column, float sum) { sums[int64_t{blockIdx.y} * columns + column] = sum; });
}

// Elements of workspace for runs of any length.
inline int64_t sum_columns_workspace(int64_t rows, int64_t columns) {
  int64_t blocks = 0;
  for (const int run : {1, 4, 8}) blocks = std::max<int64_t>(blocks, ColumnLayout(rows, columns, run).grid.y);
  return blocks > 1 ? blocks * columns : 0;
}

// body.add(share, sums) adds a thread's share to its sums and may do more with it; sums[columns] overwritten with what all have
// added, or null.
template <int kRun, class Body>
void sum_columns(const char* name, int64_t rows, int64_t columns, const Body& body, float* workspace, float* sums,
                 Stream stream) {
  const ColumnLayout layout(rows, columns, kRun);
  const int count = static_cast<int>(columns), blocks = static_cast<int>(layout.grid.y);
  launch({name, layout.grid, layout.block, stream}, sum_columns_kernel<kRun, Body>, layout.rows, layout.rows_in_block,
         count, body, sums == nullptr || blocks == 1 ? sums : workspace);
  if (sums == nullptr || blocks == 1) return;
  constexpr int kAcross = 8;
  launch({"add_row_blocks", dim3(static_cast<unsigned>(ceil_divide(count, kAcross))),
          dim3(kAcross, kColumnThreads / kAcross), stream},
         sum_columns_kernel<1, PlainColumns<float>>, blocks, blocks, count, PlainColumns<float>{workspace, count},
         sums);
}

}  // namespace lookalike::gpu
