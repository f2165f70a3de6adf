// All triplets, kRound anchors at a time, so that memory stays at O(m): their squared distances to all rows; a block for each
// anchor turns these into weights of the pairs (anchor, row), every positive against every negative; a weighted sum of
// differences adds what the pairs pull on both ends. Three launches for up to 512 rows, which are one round, four a round
// beyond.
#include <algorithm>

#include "kernels/gpu/pair_loss.h"
#include "kernels/gpu/row_tile.h"
#include "kernels/triplet_all.h"

namespace lookalike::cuda {
namespace {

using gpu::kListThreads;
using gpu::kTile;
using gpu::kTileThreads;
using gpu::kWarp;

constexpr int64_t kRound = 512;

// squared[kRound, m]: from the anchors at `begin` to all rows.
__global__ __launch_bounds__(kTileThreads) void anchor_distances_kernel(const float* e, int64_t m, int64_t d,
                                                                        int64_t begin, float* squared) {
  LOOKALIKE_SHARED(float, panels, [gpu::kPanelFloats]);
  const int64_t row = int64_t{blockIdx.y} * kTile, column = int64_t{blockIdx.x} * kTile;
  float sums[8][4];
  gpu::row_tile<gpu::DistanceStep>({e, begin + row, m}, {e, column, m}, d, panels, sums);
  const int64_t r0 = row + threadIdx.x / 16 * 8, c0 = column + threadIdx.x % 16 * 4;
#pragma unroll
  for (int r = 0; r < 8; r++) {
#pragma unroll
    for (int c = 0; c < 4; c++) {
      if (begin + r0 + r < m && c0 + c < m) squared[(r0 + r) * m + c0 + c] = sums[r][c];
    }
  }
}

// A block for each anchor. weights[kRound, m]: squared distances, overwritten by the gradient of scale * loss with respect to
// the pair, in terms of e_anchor - e_row. distances[kRound, m]: workspace.
__global__ __launch_bounds__(kListThreads) void anchor_weights_kernel(TripletParams params, int64_t m,
                                                                      RowClasses classes, int64_t begin, double scale,
                                                                      float* distances, float* weights,
                                                                      DistanceSums* parts) {
  constexpr int kPositives = 64;  // at a time
  LOOKALIKE_SHARED(float, reach, [kPositives]);
  LOOKALIKE_SHARED(int32_t, rows, [kPositives]);
  const int64_t anchor = begin + blockIdx.x;
  const int32_t own = classes.of_row[anchor];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const auto margin = static_cast<float>(params.margin);
  distances += blockIdx.x * m, weights += blockIdx.x * m;

  double negative_distance = 0, positive_distance = 0, loss = 0;
  int64_t active = 0;
  for (int64_t j = threadIdx.x; j < m; j += kListThreads) {
    const float squared = weights[j], distance = sqrtf(squared);
    distances[j] = params.squared ? squared : distance;
    weights[j] = 0;
    if (classes.of_row[j] != own) negative_distance += distance;
    if (classes.of_row[j] == own && j != anchor) positive_distance += distance;
  }
  const int64_t first = classes.begin[own], last = classes.begin[own + 1];
  for (int64_t q = first; q < last; q += kPositives) {
    const int count = static_cast<int>(last - q < kPositives ? last - q : kPositives);
    __syncthreads();  // distances are there; reach has been read
    if (static_cast<int>(threadIdx.x) < count) {
      rows[threadIdx.x] = classes.rows[q + threadIdx.x];
      reach[threadIdx.x] = distances[rows[threadIdx.x]] + margin;
    }
    __syncthreads();
    // How many positives of these push each negative, then how many negatives pull each positive: integers, exact below 2^24.
    for (int64_t j = threadIdx.x; j < m; j += kListThreads) {
      if (classes.of_row[j] == own) continue;
      int pushes = 0;
      for (int p = 0; p < count; p++) pushes += rows[p] != anchor && !(reach[p] - distances[j] <= 0);
      weights[j] -= static_cast<float>(pushes);
    }
    for (int p = warp; p < count; p += kListThreads / kWarp) {
      if (rows[p] == anchor) continue;
      int pulls = 0;
      float gap = 0;
      for (int64_t j = lane; j < m; j += kWarp) {
        const float value = reach[p] - distances[j];
        if (classes.of_row[j] == own || value <= 0) continue;
        pulls++, gap += value;
      }
      loss += gap, active += pulls;
      pulls = gpu::warp_sum(pulls);
      if (lane == 0) weights[rows[p]] = static_cast<float>(pulls);
    }
  }
  __syncthreads();
  for (int64_t j = threadIdx.x; j < m; j += kListThreads) {
    const float distance = distances[j], slope = params.squared ? 2.0f : distance > 0 ? 1 / distance : 0.0f;
    weights[j] *= static_cast<float>(scale) * slope;
  }
  const auto positives = static_cast<double>(last - first - 1), negatives = static_cast<double>(m - (last - first));
  gpu::store_block_sums(loss, active, negatives * positive_distance, positives * negative_distance, parts + anchor);
}

// A block's share of the gradient: 256 threads hold 64 rows by 128 columns of it, eight by four each.
constexpr int kColumns = 128;
struct GradientTile {
  int64_t m, d, row, column;  // row, column: the first ones
  float own[8][4], sum[8][4];

  // Own rows of e; sums from `from`, a matrix whose first row is this tile's, or 0.
  __device__ void start(const float* e, const float* from) {
    each([&](int r, int c, int64_t at) {
      own[r][c] = at >= 0 ? e[row * d + at] : 0;
      sum[r][c] = at >= 0 && from != nullptr ? from[at] : 0;
    });
  }
  __device__ void add(const float* from) {
    each([&](int r, int c, int64_t at) { sum[r][c] += at >= 0 ? from[at] : 0; });
  }
  __device__ void store(float* to) const {
    each([&](int r, int c, int64_t at) {
      if (at >= 0) to[at] = sum[r][c];
    });
  }
  // visit(r, c, where that element is from the tile's first row on, or -1 outside the matrix).
  template <class Visit>
  __device__ static void each_at(int64_t m, int64_t d, int64_t row, int64_t column, const Visit& visit) {
#pragma unroll
    for (int r = 0; r < 8; r++) {
#pragma unroll
      for (int c = 0; c < 4; c++) {
        const int64_t i = 8 * (threadIdx.x / kWarp) + r, j = column + threadIdx.x % kWarp + kWarp * c;
        visit(r, c, row + i < m && j < d ? i * d + j : -1);
      }
    }
  }
  template <class Visit>
  __device__ void each(const Visit& visit) const {
    each_at(m, d, row, column, visit);
  }

  // The sum over `count` others of w (e_r - e_other), direct differences. weights[other * other_stride + r * row_stride]; only
  // others below `count` and rows below `rows` are read.
  __device__ void add_pulls(const float* weights, int64_t row_stride, int64_t other_stride, int64_t rows,
                            const float* others, int64_t count, float (*shared_weights)[kTile],
                            float (*shared_others)[kColumns]) {
    const int ty = static_cast<int>(threadIdx.x) / kWarp, tx = static_cast<int>(threadIdx.x) % kWarp;
    constexpr int kDepth = 16;
    for (int64_t k = 0; k < count; k += kDepth) {
      __syncthreads();
      for (int i = static_cast<int>(threadIdx.x); i < kDepth * kTile; i += kListThreads) {
        // Neighbouring threads read neighbouring addresses, whichever stride is 1.
        const int r = row_stride == 1 ? i % kTile : i / kDepth, other = row_stride == 1 ? i / kTile : i % kDepth;
        shared_weights[other][r] =
            r < rows && k + other < count ? weights[(k + other) * other_stride + r * row_stride] : 0;
      }
      for (int i = static_cast<int>(threadIdx.x); i < kDepth * kColumns; i += kListThreads) {
        const int other = i / kColumns, c = i % kColumns;
        shared_others[other][c] = k + other < count && column + c < d ? others[(k + other) * d + column + c] : 0;
      }
      __syncthreads();
#pragma unroll 4
      for (int i = 0; i < kDepth; i++) {
#pragma unroll
        for (int c = 0; c < 4; c++) {
          const float other = shared_others[i][tx + kWarp * c];
#pragma unroll
          for (int r = 0; r < 8; r++) sum[r][c] = fmaf(shared_weights[i][8 * ty + r], own[r][c] - other, sum[r][c]);
        }
      }
    }
  }
};

// How the others of anchors are cut where they are many, for the few rows of a round to fill the device.
struct Pieces {
  int64_t count, length;
  explicit Pieces(int64_t m)
      : count(m <= kRound ? 1 : std::min<int64_t>(16, gpu::ceil_divide(m, kRound))),
        length(gpu::ceil_divide(m, count)) {}
};

// pulls[piece, kRound, d]: what the pairs of the anchors from `begin` on with the rows of piece z give to the anchors.
__global__ __launch_bounds__(kListThreads) void anchor_pulls_kernel(const float* e, int64_t m, int64_t d, int64_t begin,
                                                                    const float* weights, int64_t length,
                                                                    float* pulls) {
  LOOKALIKE_SHARED(float, shared_weights, [16][kTile]);
  LOOKALIKE_SHARED(float, shared_others, [16][kColumns]);
  const int64_t local = int64_t{blockIdx.x} * kTile, row = begin + local, first = blockIdx.z * length;
  const int64_t count = m - first < length ? m - first : length;
  GradientTile x{m, d, row, int64_t{blockIdx.y} * kColumns};
  x.start(e, nullptr);
  x.add_pulls(weights + local * m + first, m, 1, m - row, e + first * d, count, shared_weights, shared_others);
  x.store(pulls + (blockIdx.z * kRound + local) * d);
}

// Adds what the anchors [begin, begin + anchors) give to de; overwrites it where they are the first. After the last ones, the
// last block of x adds up the sums.
__global__ __launch_bounds__(kListThreads) void anchor_gradients_kernel(
    const float* e, int64_t m, int64_t d, int64_t begin, int64_t anchors, const float* weights, const float* pulls,
    int64_t pieces, float* de, const DistanceSums* parts, double scale, float* loss, DistanceSums* sums) {
  LOOKALIKE_SHARED(float, shared_weights, [16][kTile]);
  LOOKALIKE_SHARED(float, shared_others, [16][kColumns]);
  if (blockIdx.x == gridDim.x - 1) {
    if (begin + anchors >= m && blockIdx.y == 0) gpu::add_block_sums(parts, m, scale, loss, sums);
    return;
  }
  const int64_t row = int64_t{blockIdx.x} * kTile, rows = m - row;  // this tile's and those behind it
  GradientTile x{m, d, row, int64_t{blockIdx.y} * kColumns};
  x.start(e, begin > 0 ? de + row * d : nullptr);
  // As positive or negative of the anchors; then, where the rows are anchors themselves, with all others. kRound is a multiple
  // of the tile: either all rows are or none.
  x.add_pulls(weights + row, 1, m, rows, e + begin * d, anchors, shared_weights, shared_others);
  if (row >= begin && row < begin + anchors) {
    if (pieces == 1) x.add_pulls(weights + row * m, m, 1, rows, e, m, shared_weights, shared_others);
    for (int64_t piece = 0; pieces > 1 && piece < pieces; piece++) x.add(pulls + (piece * kRound + row - begin) * d);
  }
  x.store(de + row * d);
}
static_assert(kRound % kTile == 0);

constexpr int64_t kSumsFloats = sizeof(DistanceSums) / sizeof(float);

}  // namespace

int64_t all_triplets_workspace(int64_t m, int64_t d) {
  const Pieces pieces(m);
  return (kSumsFloats + 2 * std::min(m, kRound)) * m + (pieces.count > 1 ? pieces.count * kRound * d : 0);
}

void all_triplets(const TripletParams& params, const float* e, int64_t m, int64_t d, const RowClasses& classes,
                  double scale, float* workspace, float* de, float* loss, DistanceSums* sums, gpu::Stream stream) {
  const Pieces pieces(m);
  auto* parts = reinterpret_cast<DistanceSums*>(workspace);
  float *weights = workspace + kSumsFloats * m, *distances = weights + std::min(m, kRound) * m;
  float* pulls = distances + std::min(m, kRound) * m;
  const auto tiles = static_cast<unsigned>(gpu::ceil_divide<int64_t>(m, kTile));
  const auto columns = static_cast<unsigned>(std::max<int64_t>(1, gpu::ceil_divide<int64_t>(d, kColumns)));
  for (int64_t begin = 0; begin == 0 || begin < m; begin += kRound) {
    const int64_t anchors = std::min(kRound, m - begin);
    const auto anchor_tiles = static_cast<unsigned>(gpu::ceil_divide<int64_t>(anchors, kTile));
    gpu::launch({"anchor_distances", dim3(tiles, anchor_tiles), dim3(kTileThreads), stream}, anchor_distances_kernel, e,
                m, d, begin, weights);
    gpu::launch({"anchor_weights", dim3(static_cast<unsigned>(anchors)), dim3(kListThreads), stream},
                anchor_weights_kernel, params, m, classes, begin, scale, distances, weights, parts);
    if (pieces.count > 1) {
      gpu::launch({"anchor_pulls", dim3(anchor_tiles, columns, static_cast<unsigned>(pieces.count)), dim3(kListThreads),
                   stream},
                  anchor_pulls_kernel, e, m, d, begin, weights, pieces.length, pulls);
    }
    gpu::launch({"anchor_gradients", dim3(tiles + 1, columns), dim3(kListThreads), stream}, anchor_gradients_kernel, e,
                m, d, begin, anchors, weights, pulls, pieces.count, de, parts, scale, loss, sums);
  }
}

}  // namespace lookalike::cuda
