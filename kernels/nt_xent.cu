// Three launches, over tiles of similarities that are computed whenever they are needed and never stored: each row's largest
// similarity and sum of exponentials over the other view, in `splits` parts; the gradient with respect to a tile of
// similarities, in shared memory, times the rows of the other view, again in parts; the sum of the parts, and the loss.
// Both views take the same way, so every output row has one owner: 2 products of n n d in the first launch and 4 in the
// second where d <= 128 (each further 128 columns of the gradient take two more). Rows are read from the cache once for each
// row of tiles. Memory: splits * 2n (d + 2) + 4n floats; splits is at most 8 but where there are few rows of tiles, and 1 where
// there are many.
//
// Exponentials are always taken of differences from the largest value.
#include <limits>
#include <utility>

#include "kernels/gpu/pair_loss.h"
#include "kernels/gpu/row_tile.h"
#include "kernels/nt_xent.h"

namespace lookalike::cuda {
namespace {

using gpu::kTile;
using gpu::kTileThreads;

// The sum of some exponentials is sum * exp(largest).
struct alignas(8) ExpSum {
  float largest = -std::numeric_limits<float>::infinity(), sum = 0;

  __device__ void add(float other_largest, float other_sum) {
    const float top = fmaxf(largest, other_largest);
    if (top == -std::numeric_limits<float>::infinity()) return;  // nothing yet, or all of it is
    sum = sum * __expf(largest - top) + other_sum * __expf(other_largest - top);
    largest = top;
  }
};

// What the kernels share: rows [0, n) of e are one view, [n, 2n) the other. Block (x, y, z) takes the 64 rows of tile x of view
// z % 2 through the columns, rows of the other view, of split y.
struct Views {
  const float* e;
  int64_t n, d;
  float scale;    // 1 / temperature
  int64_t tiles;  // columns of tiles in a split

  __device__ int64_t row() const { return int64_t{blockIdx.x} * kTile; }  // in its view
  __device__ int64_t begin() const { return blockIdx.y * tiles * kTile; }
  __device__ int64_t end() const { return begin() + tiles * kTile < n ? begin() + tiles * kTile : n; }
  __device__ int64_t own() const { return blockIdx.z % 2 * n; }  // first row of the view, of the other one
  __device__ int64_t other() const { return n - own(); }
  // Similarities times temperature.
  __device__ void products(int64_t column, float* panels, float (&sums)[8][4]) const {
    gpu::row_tile<gpu::ProductStep>({e + own() * d, row(), n}, {e + other() * d, column, n}, d, panels, sums);
  }
};

// parts[split, 2n]; partner[2n]: the similarity with the partner. distances[2n]: of partners, then of (i, n + (i + 1) mod n).
__global__ __launch_bounds__(kTileThreads) void nt_xent_sums_kernel(Views x, ExpSum* parts, float* partner,
                                                                    float* distances) {
  LOOKALIKE_SHARED(float, panels, [gpu::kPanelFloats]);
  LOOKALIKE_SHARED(float, tile, [kTile * gpu::kTileStride]);
  // Two threads share a row, column by column.
  const int local = static_cast<int>(threadIdx.x) / 2, side = static_cast<int>(threadIdx.x) % 2;
  const int64_t row = x.row() + local;
  ExpSum total;
  for (int64_t column = x.begin(); column < x.end(); column += kTile) {
    float sums[8][4];
    x.products(column, panels, sums);  // begins with a barrier: the last tile has been read
    gpu::store_tile(sums, tile);
    __syncthreads();
    const float* values = tile + local * gpu::kTileStride;
    const int count = static_cast<int>(x.n - column < kTile ? x.n - column : kTile);
    float top = total.largest, sum = 0;
    for (int c = side; c < count; c += 2) top = fmaxf(top, x.scale * values[c]);
    for (int c = side; c < count; c += 2) {
      const float similarity = x.scale * values[c];
      sum += __expf(similarity - top);
      if (column + c == row) partner[x.own() + row] = similarity;
    }
    total.add(top, sum);
  }
  total.add(__shfl_xor_sync(gpu::kAllLanes, total.largest, 1), __shfl_xor_sync(gpu::kAllLanes, total.sum, 1));
  if (side == 0 && row < x.n) parts[blockIdx.y * 2 * x.n + x.own() + row] = total;
  if (blockIdx.y > 0 || blockIdx.z > 0) return;
  for (int i = static_cast<int>(threadIdx.x) / gpu::kWarp; i < 2 * kTile; i += kTileThreads / gpu::kWarp) {
    const int64_t own = x.row() + i / 2, beside = i % 2 == 0 ? own : (own + 1) % x.n;
    if (own >= x.n) break;
    const float squared = gpu::warp_distance(x.e + own * x.d, x.e + (x.n + beside) * x.d, x.d);
    if (threadIdx.x % gpu::kWarp == 0) distances[i % 2 * x.n + own] = sqrtf(squared);
  }
}

__device__ inline ExpSum merged(const ExpSum* parts, int64_t splits, int64_t n, int64_t row) {
  ExpSum total;
  for (int64_t s = 0; s < splits; s++) total.add(parts[s * 2 * n + row].largest, parts[s * 2 * n + row].sum);
  return total;
}

// Of 64 rows of a view from `first` on the largest similarities and 1 / the sums; behind its end no number that counts.
__device__ inline void load_sums(const ExpSum* parts, int64_t splits, int64_t n, int64_t view, int64_t first,
                                 float* tops, float* inverses) {
  const int64_t row = first + threadIdx.x;
  if (threadIdx.x >= kTile) return;
  const ExpSum total = row < n ? merged(parts, splits, n, view + row) : ExpSum{};
  tops[threadIdx.x] = total.largest;
  inverses[threadIdx.x] = 1 / total.sum;
}

// gradients[split, 2n, d]: this split's share, short of the factor. kColumns of them at a time, blockIdx.z / 2 says which: thread
// (ty, tx) holds rows 8 ty ... + 7 and columns 4 tx + 64 w ... + 3.
template <int kColumns>
__global__ __launch_bounds__(kTileThreads) void nt_xent_gradients_kernel(Views x, const ExpSum* parts, int64_t splits,
                                                                         float* gradients) {
  constexpr int kWide = kColumns / 64, kDepth = 16, kStride = kTile + 4;
  LOOKALIKE_SHARED(float, panels, [gpu::kPanelFloats]);
  LOOKALIKE_SHARED(float, weights, [kTile * kStride]);  // transposed: [column][row]
  LOOKALIKE_SHARED(float, others, [kDepth * kColumns]);
  LOOKALIKE_SHARED(float, row_tops, [kTile]);
  LOOKALIKE_SHARED(float, row_inverses, [kTile]);
  LOOKALIKE_SHARED(float, column_tops, [kTile]);
  LOOKALIKE_SHARED(float, column_inverses, [kTile]);
  const int ty = static_cast<int>(threadIdx.x) / 16, tx = static_cast<int>(threadIdx.x) % 16;
  const int64_t first_column = int64_t{blockIdx.z / 2} * kColumns;
  const float* other_view = x.e + x.other() * x.d;
  const bool aligned = gpu::rows_are_aligned(other_view, x.d);
  float gradient[8][4 * kWide] = {};
  load_sums(parts, splits, x.n, x.own(), x.row(), row_tops, row_inverses);
  for (int64_t column = x.begin(); column < x.end(); column += kTile) {
    float sums[8][4];
    x.products(column, panels, sums);  // begins with a barrier: the last tile's sums and weights have been read
    load_sums(parts, splits, x.n, x.other(), column, column_tops, column_inverses);
    __syncthreads();
    // Both softmaxes less twice the partner. Rows behind the end are never written, columns behind it count nothing.
#pragma unroll
    for (int c = 0; c < 4; c++) {
      const int column_at = 4 * tx + c;
      float values[8];
#pragma unroll
      for (int r = 0; r < 8; r++) {
        const int row_at = 8 * ty + r;
        const float similarity = x.scale * sums[r][c];
        values[r] = __expf(similarity - row_tops[row_at]) * row_inverses[row_at] +
                    __expf(similarity - column_tops[column_at]) * column_inverses[column_at];
        if (x.row() + row_at == column + column_at) values[r] -= 2;
        if (column + column_at >= x.n) values[r] = 0;
      }
      float4* to = reinterpret_cast<float4*>(weights + column_at * kStride + 8 * ty);
      to[0] = make_float4(values[0], values[1], values[2], values[3]);
      to[1] = make_float4(values[4], values[5], values[6], values[7]);
    }
    for (int k = 0; k < kTile; k += kDepth) {
      __syncthreads();
      for (int i = static_cast<int>(threadIdx.x); i < kDepth * kColumns / 4; i += kTileThreads) {
        const int64_t row = column + k + i / (kColumns / 4);
        const int64_t at = first_column + i % (kColumns / 4) * 4;
        reinterpret_cast<float4*>(others)[i] =
            row < x.n ? gpu::load_quad(other_view + row * x.d, at, x.d, aligned) : make_float4(0, 0, 0, 0);
      }
      __syncthreads();
#pragma unroll 4
      for (int i = 0; i < kDepth; i++) {
        const float* left = weights + (k + i) * kStride + 8 * ty;
        const float4 low = *reinterpret_cast<const float4*>(left), high = *reinterpret_cast<const float4*>(left + 4);
        const float rows[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
        for (int w = 0; w < kWide; w++) {
          const float4 right = *reinterpret_cast<const float4*>(others + i * kColumns + 64 * w + 4 * tx);
          const float columns[4] = {right.x, right.y, right.z, right.w};
#pragma unroll
          for (int r = 0; r < 8; r++) {
#pragma unroll
            for (int c = 0; c < 4; c++) gradient[r][4 * w + c] = fmaf(rows[r], columns[c], gradient[r][4 * w + c]);
          }
        }
      }
    }
  }
  float* to = gradients + (blockIdx.y * 2 * x.n + x.own()) * x.d;
#pragma unroll
  for (int r = 0; r < 8; r++) {
    const int64_t row = x.row() + 8 * ty + r;
    if (row >= x.n) break;
#pragma unroll
    for (int w = 0; w < kWide; w++) {
      const int64_t at = first_column + 64 * w + 4 * tx;
      const float* values = gradient[r] + 4 * w;
      if (x.d % 4 == 0) {
        if (at < x.d)
          *reinterpret_cast<float4*>(to + row * x.d + at) = make_float4(values[0], values[1], values[2], values[3]);
        continue;
      }
#pragma unroll
      for (int c = 0; c < 4; c++) {
        if (at + c < x.d) to[row * x.d + at + c] = values[c];
      }
    }
  }
}

// de = factor * the sum over splits; the last block takes the loss.
__global__ void nt_xent_finish_kernel(Views x, const ExpSum* parts, const float* partner, const float* distances,
                                      const float* gradients, int64_t splits, float factor, float* de, float* loss,
                                      DistanceSums* sums) {
  const int64_t size = 2 * x.n * x.d;
  if (blockIdx.x < gridDim.x - 1) {
    const int64_t step = int64_t{gridDim.x - 1} * gpu::kListThreads;
    for (int64_t i = int64_t{blockIdx.x} * gpu::kListThreads + threadIdx.x; i < size; i += step) {
      float sum = 0;
      for (int64_t s = 0; s < splits; s++) sum += gradients[s * size + i];
      de[i] = factor * sum;
    }
    return;
  }
  double total = 0, positive = 0, negative = 0;
  int64_t active = 0;
  for (int64_t row = threadIdx.x; row < 2 * x.n; row += gpu::kListThreads) {
    const ExpSum all = merged(parts, splits, x.n, row);
    total += log(double{all.sum}) + (double{all.largest} - partner[row]);
    active += partner[row] < all.largest;
    (row < x.n ? positive : negative) += distances[row];
  }
  gpu::store_block_sums(total, active, positive, negative, sums);
  if (threadIdx.x == 0) *loss = x.n > 0 ? static_cast<float>(sums->loss / (2 * static_cast<double>(x.n))) : 0;
}

// What the registers of nt_xent_gradients let run at once.
constexpr int kBlocksPerMultiprocessor = 3;

struct Workspace {
  int64_t row_tiles;  // of each view
  gpu::TileSplits splits;
  ExpSum* parts;
  float *partner, *distances, *gradients;
  int64_t size = 0;

  Workspace(float* memory, int64_t n, int64_t d)
      : row_tiles(gpu::ceil_divide<int64_t>(n, kTile)),
        splits(2 * row_tiles, row_tiles, int64_t{gpu::limits().multiprocessors} * kBlocksPerMultiprocessor) {
    const auto take = [&](int64_t floats) {
      const int64_t at = std::exchange(size, size + floats);
      return memory == nullptr ? nullptr : memory + at;
    };
    // The strictest alignment first.
    gradients = take(splits.splits * 2 * n * d);
    parts = reinterpret_cast<ExpSum*>(take(splits.splits * 2 * n * 2));
    partner = take(2 * n), distances = take(2 * n);
  }
};

}  // namespace

int64_t nt_xent_workspace(int64_t n, int64_t d) {
  return Workspace(nullptr, n, d).size;
}

void nt_xent(const float* e, int64_t n, int64_t d, double temperature, float* workspace, float* de, float* loss,
             DistanceSums* sums, gpu::Stream stream) {
  const Workspace x(workspace, n, d);
  const Views views{e, n, d, static_cast<float>(1 / temperature), x.splits.tiles};
  const auto rows = static_cast<unsigned>(x.row_tiles), splits = static_cast<unsigned>(x.splits.splits);
  gpu::launch({"nt_xent_sums", dim3(rows, splits, 2), dim3(kTileThreads), stream}, nt_xent_sums_kernel, views, x.parts,
              x.partner, x.distances);
  const auto gradients = [&](int64_t columns, auto* kernel) {
    const auto chunks = static_cast<unsigned>(gpu::ceil_divide(d, columns));
    gpu::launch({"nt_xent_gradients", dim3(rows, splits, 2 * chunks), dim3(kTileThreads), stream}, kernel, views,
                x.parts, x.splits.splits, x.gradients);
  };
  if (d <= 64)
    gradients(64, nt_xent_gradients_kernel<64>);
  else
    gradients(128, nt_xent_gradients_kernel<128>);
  const int64_t blocks = std::min<int64_t>(gpu::ceil_divide<int64_t>(2 * n * d, gpu::kListThreads), 2048);
  const auto factor = static_cast<float>(n > 0 ? 0.5 / (static_cast<double>(n) * temperature) : 0);
  gpu::launch({"nt_xent_finish", dim3(static_cast<unsigned>(blocks + 1)), dim3(gpu::kListThreads), stream},
              nt_xent_finish_kernel, views, x.parts, x.partner, x.distances, x.gradients, x.splits.splits, factor, de,
              loss, sums);
}

}  // namespace lookalike::cuda
