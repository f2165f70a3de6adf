// A 64 x 64 tile of squared distances or products between the rows of two matrices, in the registers of 128 threads:
// what every loss over all pairs of embeddings is made of. Thread (ty, tx) = (t / 16, t % 16) holds rows 8 ty ... + 7 and
// columns 4 tx ... + 3. Rows pass through shared memory 16 elements at a time, transposed, so that a step of a thread is
// three 16-byte loads for 32 fused multiply-adds (and for distances 32 subtractions).
//
// Every element is one sum over k = 0, 1, 2, ... in this order: equal rows have equal distances to the bit, wherever they
// stand. sequential_distance() has the same bits.
#pragma once

#include <algorithm>

#include "kernels/gpu/kernel.h"

namespace lookalike::gpu {

constexpr int kTile = 64, kTileThreads = 128, kTileDepth = 16;
// Two buffers for each of the two matrices.
constexpr int kPanel = kTileDepth * kTile, kPanelFloats = 2 * 2 * kPanel;
// Where row `row` stands in line k of a panel: quads of lines exchange groups of eight rows, so that the lanes that store one
// element each of eight rows in four quads fall on 32 banks.
constexpr LOOKALIKE_HOST_DEVICE int panel_offset(int k, int row) {
  return k * kTile + (row ^ k / 4 % 4 * 8);
}

struct DistanceStep {
  __device__ float operator()(float a, float b, float sum) const { return fmaf(a - b, a - b, sum); }
};
struct ProductStep {
  __device__ float operator()(float a, float b, float sum) const { return fmaf(a, b, sum); }
};

// Rows [first, count) of x[count, d].
struct TileRows {
  const float* x;
  int64_t first, count;
};

// Elements k ... k + 3 of a row of d; zeros behind its end, which change no distance and no product.
template <class Integer>
__device__ inline float4 load_quad(const float* row, Integer k, Integer d, bool aligned) {
  if (aligned) return k < d ? *reinterpret_cast<const float4*>(row + k) : make_float4(0, 0, 0, 0);
  return make_float4(k < d ? row[k] : 0, k + 1 < d ? row[k + 1] : 0, k + 2 < d ? row[k + 2] : 0,
                     k + 3 < d ? row[k + 3] : 0);
}

__device__ inline bool rows_are_aligned(const float* x, int64_t d) {
  return d % 4 == 0 && reinterpret_cast<uintptr_t>(x) % 16 == 0;
}

// What a thread brings from one matrix, step by step: quad t % 4 of rows t / 4 and t / 4 + 32, so that four neighbours read 64
// bytes of a row.
struct PanelPart {
  const float* next;
  int left[2];  // elements from `next` to the end of each row; none in a row that does not exist
  float4 quads[2];

  __device__ PanelPart(const TileRows& rows, int64_t d) {
    const int64_t row = rows.first + threadIdx.x / 4;
    const int begin = 4 * static_cast<int>(threadIdx.x % 4);
    next = rows.x + (row < rows.count ? row * d + begin : 0);
#pragma unroll
    for (int i = 0; i < 2; i++) left[i] = row + i * kTile / 2 < rows.count ? static_cast<int>(d) - begin : 0;
  }
  __device__ void load(int64_t d, bool aligned) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      quads[i] = load_quad(next + i * kTile / 2 * d, 0, left[i], aligned);
      left[i] -= kTileDepth;
    }
    next += kTileDepth;
  }
  __device__ void store(float* panel) const {
    float* const to = panel + panel_offset(4 * static_cast<int>(threadIdx.x % 4), static_cast<int>(threadIdx.x / 4));
#pragma unroll
    for (int i = 0; i < 2; i++) {
      to[i * kTile / 2] = quads[i].x, to[kTile + i * kTile / 2] = quads[i].y;
      to[2 * kTile + i * kTile / 2] = quads[i].z, to[3 * kTile + i * kTile / 2] = quads[i].w;
    }
  }
};

// sums overwritten. panels[kPanelFloats] is shared memory. All threads call it, and it begins with a barrier, whatever d is:
// what others read of shared memory before may be overwritten after it. None is needed behind it as long as only this
// writes to `panels`.
template <class Step>
__device__ inline void row_tile(const TileRows& a, const TileRows& b, int64_t d, float* panels, float (&sums)[8][4]) {
  const bool aligned = rows_are_aligned(a.x, d) && rows_are_aligned(b.x, d);
  const int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
#pragma unroll
  for (int r = 0; r < 8; r++) {
#pragma unroll
    for (int c = 0; c < 4; c++) sums[r][c] = 0;
  }
  PanelPart from_a(a, d), from_b(b, d);
  from_a.load(d, aligned), from_b.load(d, aligned);
  __syncthreads();  // what stood in the panels has been read
  for (int k = 0; k < d; k += kTileDepth) {
    float* panel = panels + k / kTileDepth % 2 * 2 * kPanel;
    from_a.store(panel), from_b.store(panel + kPanel);
    // One barrier a step: who stores here again has passed the next step's, which comes after these reads.
    __syncthreads();
    from_a.load(d, aligned), from_b.load(d, aligned);  // for the next step; behind the end nothing is read
#pragma unroll
    for (int i = 0; i < kTileDepth; i++) {
      const float* left = panel + panel_offset(i, 8 * ty);
      const float4 low = *reinterpret_cast<const float4*>(left), high = *reinterpret_cast<const float4*>(left + 4);
      const float4 right = *reinterpret_cast<const float4*>(panel + kPanel + panel_offset(i, 4 * tx));
      const float rows[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
      const float columns[4] = {right.x, right.y, right.z, right.w};
#pragma unroll
      for (int r = 0; r < 8; r++) {
#pragma unroll
        for (int c = 0; c < 4; c++) sums[r][c] = Step{}(rows[r], columns[c], sums[r][c]);
      }
    }
  }
}

// One thread's squared distance, with the bits of row_tile.
__device__ inline float sequential_distance(const float* a, const float* b, int64_t d) {
  float sum = 0;
  for (int64_t k = 0; k < d; k++) sum = DistanceStep{}(a[k], b[k], sum);
  return sum;
}

// A tile in shared memory for threads that go along its rows: odd stride.
constexpr int kTileStride = kTile + 1;
__device__ inline void store_tile(const float (&sums)[8][4], float* tile) {
  const int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
#pragma unroll
  for (int r = 0; r < 8; r++) {
#pragma unroll
    for (int c = 0; c < 4; c++) tile[(8 * ty + r) * kTileStride + 4 * tx + c] = sums[r][c];
  }
}

// How a pass over all tiles is cut: `splits` blocks share a row of tiles, each takes `tiles` columns of tiles (the last
// one perhaps fewer): so many that they take the least time on `slots` blocks at once, no more than that needs.
struct TileSplits {
  int64_t splits = 1, tiles = 1;

  TileSplits(int64_t row_tiles, int64_t column_tiles, int64_t slots) {
    double least = 0;
    // Many rows of tiles fill the device by themselves; for a few parts of the last wave memory is too dear.
    const int64_t most = row_tiles >= 4 * slots
                             ? 1
                             : std::min(column_tiles, std::max<int64_t>(8, slots / std::max<int64_t>(1, row_tiles)));
    for (int64_t wanted = 1; wanted <= most; wanted++) {
      const int64_t length = ceil_divide(column_tiles, wanted), count = ceil_divide(column_tiles, length);
      // A block that starts and ends costs about as much as half a tile.
      const double time =
          static_cast<double>(ceil_divide(row_tiles * count, slots)) * (static_cast<double>(length) + 0.5);
      if (wanted == 1 || time < 0.97 * least) least = time, splits = count, tiles = length;
    }
  }
};

}  // namespace lookalike::gpu
