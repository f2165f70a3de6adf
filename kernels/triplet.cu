// Lists (three launches, two where nothing is mined): tiles of squared distances give each triplet its candidates, then a
// warp for each triplet takes loss and weights, then gradients are gathered (gpu/pair_loss.h). Mining costs 2 m^2 d
// operations, a subtraction and a fused multiply-add for each element, and reads e from the cache once for each row of
// tiles. Distances live in shared memory; what leaves a block is 16 bytes for each anchor or triplet and split.
//
// A positive and a negative are compared by distances with the same order of summation, so ties are ties.
#include <limits>
#include <utility>

#include "kernels/gpu/pair_loss.h"
#include "kernels/gpu/row_tile.h"
#include "kernels/triplet.h"
#include "kernels/triplet_all.h"

namespace lookalike::cuda {
namespace {

using gpu::kTile;
using gpu::kTileThreads;

// The best rows so far, -1 where there is none; columns come in ascending order, so that a tie stays with the lowest.
struct alignas(16) Candidates {
  float far, near;
  int32_t far_row, near_row;

  __device__ void add_far(float squared, int32_t row) {
    if (squared > far) far = squared, far_row = row;
  }
  __device__ void add_near(float squared, int32_t row) {
    if (squared < near) near = squared, near_row = row;
  }
  // Rows of `other` may be on either side of ours.
  __device__ void merge(const Candidates& other) {
    if (other.far_row >= 0 && (other.far > far || (other.far == far && other.far_row < far_row))) {
      far = other.far, far_row = other.far_row;
    }
    if (other.near_row >= 0 && (other.near < near || (other.near == near && other.near_row < near_row))) {
      near = other.near, near_row = other.near_row;
    }
  }
};
constexpr int64_t kCandidateFloats = sizeof(Candidates) / sizeof(float);

__device__ inline Candidates no_candidates() {
  return {-1, std::numeric_limits<float>::infinity(), -1, -1};
}

// What both miners share: block (x, y) takes the 64 rows of tile x through the columns of split y.
struct MiningPass {
  const float* e;
  int64_t m, d;
  const int32_t* of_row;
  int64_t tiles;  // columns of tiles in a split

  __device__ int64_t row() const { return int64_t{blockIdx.x} * kTile; }
  __device__ int64_t begin() const { return blockIdx.y * tiles * kTile; }
  __device__ int64_t end() const { return begin() + tiles * kTile < m ? begin() + tiles * kTile : m; }

  // Squared distances of the rows from `column` on, and their classes, into shared memory.
  __device__ void fill(int64_t column, float* panels, float* tile, int32_t* classes) const {
    float sums[8][4];
    gpu::row_tile<gpu::DistanceStep>({e, row(), m}, {e, column, m}, d, panels, sums);
    __syncthreads();  // the last tile has been read; this is only sure where d is 0
    gpu::store_tile(sums, tile);
    if (threadIdx.x < kTile) classes[threadIdx.x] = column + threadIdx.x < m ? of_row[column + threadIdx.x] : -1;
    __syncthreads();
  }
};

// best[split, m]: the farthest positive and the nearest negative of each row. Two threads share a row, column by column.
__global__ __launch_bounds__(kTileThreads) void mine_batch_hard_kernel(MiningPass pass, Candidates* best) {
  LOOKALIKE_SHARED(float, panels, [gpu::kPanelFloats]);
  LOOKALIKE_SHARED(float, tile, [kTile * gpu::kTileStride]);
  LOOKALIKE_SHARED(int32_t, classes, [kTile]);
  const int local = static_cast<int>(threadIdx.x) / 2;
  const int64_t row = pass.row() + local;
  const int32_t own = row < pass.m ? pass.of_row[row] : -1;
  Candidates mine = no_candidates();
  for (int64_t column = pass.begin(); column < pass.end(); column += kTile) {
    pass.fill(column, panels, tile, classes);
    for (int c = static_cast<int>(threadIdx.x) % 2; c < kTile; c += 2) {
      if (classes[c] < 0 || column + c == row) continue;
      const float squared = tile[local * gpu::kTileStride + c];
      const auto other = static_cast<int32_t>(column + c);
      if (classes[c] == own)
        mine.add_far(squared, other);
      else
        mine.add_near(squared, other);
    }
  }
  Candidates beside;
  beside.far = __shfl_xor_sync(gpu::kAllLanes, mine.far, 1),
  beside.far_row = __shfl_xor_sync(gpu::kAllLanes, mine.far_row, 1);
  beside.near = __shfl_xor_sync(gpu::kAllLanes, mine.near, 1);
  beside.near_row = __shfl_xor_sync(gpu::kAllLanes, mine.near_row, 1);
  mine.merge(beside);
  if (threadIdx.x % 2 == 0 && row < pass.m) best[blockIdx.y * pass.m + row] = mine;
}

// The first of triplets[count], ordered by anchor, whose anchor is `row` or later.
__device__ inline int64_t first_of(const Triplet* triplets, int64_t count, int64_t row) {
  int64_t low = 0;
  while (low < count) {
    const int64_t middle = low + (count - low) / 2;
    if (triplets[middle].anchor < row)
      low = middle + 1;
    else
      count = middle;
  }
  return low;
}

// best[split, count]: of each triplet the farthest negative, and the nearest one that is farther than the positive.
// positives[split, count]: the squared distances of the positives. A thread keeps its triplets from tile to tile.
__global__ __launch_bounds__(kTileThreads) void mine_semi_hard_kernel(MiningPass pass, const Triplet* triplets,
                                                                      int64_t count, Candidates* best,
                                                                      float* positives) {
  LOOKALIKE_SHARED(float, panels, [gpu::kPanelFloats]);
  LOOKALIKE_SHARED(float, tile, [kTile * gpu::kTileStride]);
  LOOKALIKE_SHARED(int32_t, classes, [kTile]);
  const int64_t first = first_of(triplets, count, pass.row()), last = first_of(triplets, count, pass.row() + kTile);
  best += blockIdx.y * count, positives += blockIdx.y * count;
  for (int64_t t = first + threadIdx.x; t < last; t += kTileThreads) {
    positives[t] =
        gpu::sequential_distance(pass.e + triplets[t].anchor * pass.d, pass.e + triplets[t].positive * pass.d, pass.d);
    best[t] = no_candidates();
  }
  for (int64_t column = pass.begin(); column < pass.end(); column += kTile) {
    pass.fill(column, panels, tile, classes);
    for (int64_t t = first + threadIdx.x; t < last; t += kTileThreads) {
      const int64_t anchor = triplets[t].anchor;
      const int32_t own = pass.of_row[anchor];
      const float positive = positives[t];
      Candidates mine = best[t];
      for (int c = 0; c < kTile; c++) {
        if (classes[c] < 0 || classes[c] == own) continue;
        const float squared = tile[(anchor - pass.row()) * gpu::kTileStride + c];
        const auto other = static_cast<int32_t>(column + c);
        if (squared > positive) mine.add_near(squared, other);
        mine.add_far(squared, other);
      }
      best[t] = mine;
    }
  }
}

// A warp for each triplet: takes what was mined, in the order of the splits, and leaves pairs[2 count], weights[2 count].
template <Mining kMining>
__global__ void triplet_loss_kernel(TripletParams params, const float* e, int64_t m, int64_t d, Triplet* triplets,
                                    int64_t count, double scale, const Candidates* best, const float* positives,
                                    int64_t splits, RowPair* pairs, float* weights, DistanceSums* parts) {
  double total = 0, positive_sum = 0, negative_sum = 0;  // of the warp, in its first lane
  int64_t active_count = 0;
  const int64_t step = int64_t{gridDim.x} * (gpu::kListThreads / gpu::kWarp);
  for (int64_t t = (int64_t{blockIdx.x} * gpu::kListThreads + threadIdx.x) / gpu::kWarp; t < count; t += step) {
    Triplet triplet = triplets[t];
    double squared[2];  // of the positive, of the negative
    if constexpr (kMining == Mining::listed) {
      squared[0] = gpu::warp_distance(e + triplet.anchor * d, e + triplet.positive * d, d);
      squared[1] = gpu::warp_distance(e + triplet.anchor * d, e + triplet.negative * d, d);
    }
    if (threadIdx.x % gpu::kWarp != 0) continue;
    if constexpr (kMining != Mining::listed) {
      Candidates found = no_candidates();
      for (int64_t s = 0; s < splits; s++) {
        found.merge(best[kMining == Mining::batch_hard ? s * m + triplet.anchor : s * count + t]);
      }
      if constexpr (kMining == Mining::batch_hard) {
        if (found.far_row >= 0) triplet.positive = found.far_row;
        if (found.near_row >= 0) triplet.negative = found.near_row;
        squared[0] = found.far, squared[1] = found.near;
      } else {
        const bool nearest = found.near_row >= 0;
        if (nearest || found.far_row >= 0) triplet.negative = nearest ? found.near_row : found.far_row;
        squared[0] = positives[t], squared[1] = nearest ? found.near : found.far;
      }
      triplets[t] = triplet;
    }
    const double positive = sqrt(squared[0]), negative = sqrt(squared[1]);
    const double loss = (params.squared ? squared[0] - squared[1] : positive - negative) + params.margin;
    const bool active = !(loss <= 0);  // NaN is: a broken network must show
    total += active ? loss : 0;
    active_count += active;
    positive_sum += positive, negative_sum += negative;
    // The gradient of D^2 is 2 (a - b), that of D is (a - b) / D.
    const auto slope = [&](double distance) { return params.squared ? 2 : distance > 0 ? 1 / distance : 0; };
    pairs[2 * t] = {triplet.anchor, triplet.positive}, pairs[2 * t + 1] = {triplet.anchor, triplet.negative};
    weights[2 * t] = static_cast<float>(active ? scale * slope(positive) : 0);
    weights[2 * t + 1] = static_cast<float>(active ? -scale * slope(negative) : 0);
  }
  gpu::store_block_sums(total, active_count, positive_sum, negative_sum, parts + blockIdx.x);
}

// The parts of the workspace of a list, the strictest alignment first.
struct ListWorkspace {
  gpu::TileSplits splits;
  int64_t candidates;  // in a split
  Candidates* best;
  DistanceSums* parts;
  RowPair* pairs;
  float *weights, *positives;
  int64_t size;

  ListWorkspace(Mining mining, float* memory, int64_t m, int64_t count) : splits(m, m) {
    const auto take = [&](int64_t floats) {
      const int64_t at = std::exchange(size, size + floats);
      return memory == nullptr ? nullptr : memory + at;
    };
    candidates = mining == Mining::batch_hard ? m : mining == Mining::semi_hard ? count : 0;
    size = 0;
    best = reinterpret_cast<Candidates*>(take(splits.splits * candidates * kCandidateFloats));
    parts = reinterpret_cast<DistanceSums*>(take(gpu::list_sums_floats(count)));
    pairs = reinterpret_cast<RowPair*>(take(4 * count));
    weights = take(2 * count);
    positives = take(mining == Mining::semi_hard ? splits.splits * count : 0);
  }
};

}  // namespace

int64_t triplet_workspace(Mining mining, int64_t m, int64_t d, int64_t count) {
  return mining == Mining::all ? all_triplets_workspace(m, d) : ListWorkspace(mining, nullptr, m, count).size;
}

void triplet(Mining mining, const TripletParams& params, const float* e, int64_t m, int64_t d,
             const RowClasses& classes, Triplet* triplets, int64_t count, double scale, float* workspace, float* de,
             float* loss, DistanceSums* sums, gpu::Stream stream) {
  if (mining == Mining::all) return all_triplets(params, e, m, d, classes, scale, workspace, de, loss, sums, stream);
  const ListWorkspace x(mining, workspace, m, count);
  const MiningPass pass{e, m, d, classes.of_row, x.splits.tiles};
  const dim3 grid(count > 0 ? static_cast<unsigned>(x.splits.row_tiles) : 0, static_cast<unsigned>(x.splits.splits));
  if (mining == Mining::batch_hard) {
    gpu::launch({"mine_batch_hard", grid, dim3(kTileThreads), stream}, mine_batch_hard_kernel, pass, x.best);
  } else if (mining == Mining::semi_hard) {
    gpu::launch({"mine_semi_hard", grid, dim3(kTileThreads), stream}, mine_semi_hard_kernel, pass, triplets, count,
                x.best, x.positives);
  }
  const auto kernel = mining == Mining::listed       ? triplet_loss_kernel<Mining::listed>
                      : mining == Mining::batch_hard ? triplet_loss_kernel<Mining::batch_hard>
                                                     : triplet_loss_kernel<Mining::semi_hard>;
  const int64_t blocks = gpu::list_blocks(count);
  gpu::launch({"triplet_loss", dim3(static_cast<unsigned>(blocks)), dim3(gpu::kListThreads), stream}, kernel, params, e,
              m, d, triplets, count, scale, x.best, x.positives, x.splits.splits, x.pairs, x.weights, x.parts);
  gpu::finish_pairs("triplet_finish", e, m, d, x.pairs, x.weights, 2 * count, de, x.parts, blocks, scale, loss, sums,
                    stream);
}

}  // namespace lookalike::cuda
