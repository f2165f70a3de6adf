// Lists. Mining measures every pair of rows once: a block for each tile (i, j), i <= j, of squared distances, which serves the
// rows of i and those of j; m^2 d operations, a subtraction and a fused multiply-add for each element of half the pairs. A tile
// lives in shared memory; what leaves it are best rows, as 64-bit keys whose largest is the best one with the lowest row,
// whatever the order of arrival (integer atomics). Then a warp for each triplet takes loss and weights, and gradients are
// gathered (gpu/pair_loss.h). Four launches, two where nothing is mined.
//
// A positive and a negative are compared by distances with the same order of summation, so ties are ties.
#include <limits>
#include <utility>

#include "kernels/gpu/elementwise.h"
#include "kernels/gpu/pair_loss.h"
#include "kernels/gpu/row_tile.h"
#include "kernels/triplet.h"
#include "kernels/triplet_all.h"

namespace lookalike::cuda {
namespace {

using gpu::kTile;
using gpu::kTileThreads;

// Squared distance and row, 0 for none. Squares are not negative, so their bits are ordered as they are.
using Key = unsigned long long;

__device__ inline Key make_key(uint32_t order, int64_t row) {
  return Key{order} << 32 | ~static_cast<uint32_t>(row);
}
__device__ inline Key far_key(float squared, int64_t row) {
  return make_key(__float_as_uint(squared), row);
}
__device__ inline Key near_key(float squared, int64_t row) {
  return make_key(~__float_as_uint(squared), row);
}
__device__ inline int32_t row_of(Key key) {
  return static_cast<int32_t>(~static_cast<uint32_t>(key));
}

// Of an anchor or a triplet: the farthest and the nearest of the rows that were to be compared.
struct Best {
  Key far, near;
};
constexpr int64_t kBestFloats = sizeof(Best) / sizeof(float);

// The best of one tile. Rows come in ascending order, so that a tie stays with the lowest; NaN never enters.
struct Scan {
  float far = -1, near = std::numeric_limits<float>::infinity();
  int64_t far_row = 0, near_row = 0;

  __device__ void add_far(float squared, int64_t row) {
    if (squared > far) far = squared, far_row = row;
  }
  __device__ void add_near(float squared, int64_t row) {
    if (squared < near) near = squared, near_row = row;
  }
  __device__ void store(Best* best) const {
    if (far >= 0) atomicMax(&best->far, far_key(far, far_row));
    if (near < std::numeric_limits<float>::infinity()) atomicMax(&best->near, near_key(near, near_row));
  }
};

struct Embeddings {
  const float* e;
  int64_t m, d;
  const int32_t* of_row;
};

// A tile of squared distances and the classes of its two sets of rows, -1 behind the end, in shared memory.
struct MinedTile {
  int64_t row, column;
  const float* squared;
  const int32_t* classes;  // [2][kTile]

  // Where a set begins.
  __device__ int64_t first(int side) const { return side == 0 ? row : column; }
  // As seen from one of the sets: of its row `own` and row `other` of the other set.
  __device__ float at(int side, int own, int other) const {
    return squared[side == 0 ? own * gpu::kTileStride + other : other * gpu::kTileStride + own];
  }
  // On the diagonal both sets are the same.
  __device__ int sides() const { return row == column ? 1 : 2; }
};

__device__ inline MinedTile measure_tile(const Embeddings& x, float* panels, float* squared, int32_t* classes) {
  // Tiles (i, j) with i <= j are numbered j (j + 1) / 2 + i.
  const int64_t index = blockIdx.x;
  auto j = static_cast<int64_t>((sqrt(8 * static_cast<double>(index) + 1) - 1) / 2);
  while (j * (j + 1) / 2 > index) j--;
  while ((j + 1) * (j + 2) / 2 <= index) j++;
  const MinedTile tile{(index - j * (j + 1) / 2) * kTile, j * kTile, squared, classes};
  float sums[8][4];
  gpu::row_tile<gpu::DistanceStep>({x.e, tile.row, x.m}, {x.e, tile.column, x.m}, x.d, panels, sums);
  gpu::store_tile(sums, squared);
  const int side = static_cast<int>(threadIdx.x) / kTile;
  const int64_t row = tile.first(side) + threadIdx.x % kTile;
  classes[threadIdx.x] = row < x.m ? x.of_row[row] : -1;
  __syncthreads();
  return tile;
}

// best[m], zero before: the farthest positive and the nearest negative of each row.
__global__ __launch_bounds__(kTileThreads) void mine_batch_hard_kernel(Embeddings x, Best* best) {
  LOOKALIKE_SHARED(float, panels, [gpu::kPanelFloats]);
  LOOKALIKE_SHARED(float, squared, [kTile * gpu::kTileStride]);
  LOOKALIKE_SHARED(int32_t, classes, [2 * kTile]);
  const MinedTile tile = measure_tile(x, panels, squared, classes);
  // Two threads share a row, half of the others each; a warp has 32 rows, in as many banks.
  const int local = static_cast<int>(threadIdx.x) % kTile, half = static_cast<int>(threadIdx.x) / kTile;
  for (int side = 0; side < tile.sides(); side++) {
    const int32_t own = classes[side * kTile + local];
    const int64_t row = tile.first(side) + local;
    if (own < 0) continue;
    Scan scan;
    for (int c = half * kTile / 2; c < (half + 1) * kTile / 2; c++) {
      const int32_t other = classes[(1 - side) * kTile + c];
      const int64_t other_row = tile.first(1 - side) + c;
      const float distance = tile.at(side, local, c);
      if (other == own) {
        if (other_row != row) scan.add_far(distance, other_row);
      } else if (other >= 0) {
        scan.add_near(distance, other_row);
      }
    }
    scan.store(best + row);
  }
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

// best[count], zero before: of each triplet the farthest negative, and the nearest one that is farther than the positive, whose
// squared distance is in positives[count].
__global__ __launch_bounds__(kTileThreads) void mine_semi_hard_kernel(Embeddings x, const Triplet* triplets,
                                                                      int64_t count, const float* positives,
                                                                      Best* best) {
  LOOKALIKE_SHARED(float, panels, [gpu::kPanelFloats]);
  LOOKALIKE_SHARED(float, squared, [kTile * gpu::kTileStride]);
  LOOKALIKE_SHARED(int32_t, classes, [2 * kTile]);
  const MinedTile tile = measure_tile(x, panels, squared, classes);
  for (int side = 0; side < tile.sides(); side++) {
    const int64_t last = first_of(triplets, count, tile.first(side) + kTile);
    for (int64_t t = first_of(triplets, count, tile.first(side)) + threadIdx.x; t < last; t += kTileThreads) {
      const int local = static_cast<int>(triplets[t].anchor - tile.first(side));
      const int32_t own = classes[side * kTile + local];
      const float positive = positives[t];
      Scan scan;
      for (int c = 0; c < kTile; c++) {
        const int32_t other = classes[(1 - side) * kTile + c];
        if (other < 0 || other == own) continue;
        const float distance = tile.at(side, local, c);
        const int64_t other_row = tile.first(1 - side) + c;
        if (distance > positive) scan.add_near(distance, other_row);
        scan.add_far(distance, other_row);
      }
      scan.store(best + t);
    }
  }
}

// What the miners start from.
struct PrepareBatchHard {
  Best* best;
  __device__ void operator()(int64_t i) const { best[i] = {0, 0}; }
};
struct PrepareSemiHard {
  const float* e;
  int64_t d;
  const Triplet* triplets;
  Best* best;
  float* positives;
  __device__ void operator()(int64_t t) const {
    best[t] = {0, 0};
    positives[t] = gpu::sequential_distance(e + triplets[t].anchor * d, e + triplets[t].positive * d, d);
  }
};

// A warp for each triplet: takes what was mined and leaves pairs[2 count], weights[2 count].
template <Mining kMining>
__global__ void triplet_loss_kernel(TripletParams params, const float* e, int64_t d, Triplet* triplets, int64_t count,
                                    double scale, const Best* best, const float* positives, RowPair* pairs,
                                    float* weights, DistanceSums* parts) {
  double total = 0, positive_sum = 0, negative_sum = 0;  // of the warp, in its first lane
  int64_t active_count = 0;
  const int64_t step = int64_t{gridDim.x} * (gpu::kListThreads / gpu::kWarp);
  for (int64_t t = (int64_t{blockIdx.x} * gpu::kListThreads + threadIdx.x) / gpu::kWarp; t < count; t += step) {
    Triplet triplet;
    double squared[2];  // of the positive, of the negative
    if constexpr (kMining == Mining::listed) {
      triplet = triplets[t];
      squared[0] = gpu::warp_distance(e + triplet.anchor * d, e + triplet.positive * d, d);
      squared[1] = gpu::warp_distance(e + triplet.anchor * d, e + triplet.negative * d, d);
    }
    if (threadIdx.x % gpu::kWarp != 0) continue;
    if constexpr (kMining != Mining::listed) {
      triplet = triplets[t];  // by the lane that writes it, alone
      const auto [far, near] = best[kMining == Mining::batch_hard ? triplet.anchor : t];
      const float farthest = far != 0 ? __uint_as_float(static_cast<uint32_t>(far >> 32)) : -1;
      const float nearest =
          near != 0 ? __uint_as_float(~static_cast<uint32_t>(near >> 32)) : std::numeric_limits<float>::infinity();
      if constexpr (kMining == Mining::batch_hard) {
        if (far != 0) triplet.positive = row_of(far);
        if (near != 0) triplet.negative = row_of(near);
        squared[0] = farthest, squared[1] = nearest;
      } else {
        if (near != 0 || far != 0) triplet.negative = row_of(near != 0 ? near : far);
        squared[0] = positives[t], squared[1] = near != 0 ? nearest : farthest;
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
  int64_t bests;  // entries of `best`
  Best* best;
  DistanceSums* parts;
  RowPair* pairs;
  float *weights, *positives;
  int64_t size = 0;

  ListWorkspace(Mining mining, float* memory, int64_t m, int64_t count) {
    const auto take = [&](int64_t floats) {
      const int64_t at = std::exchange(size, size + floats);
      return memory == nullptr ? nullptr : memory + at;
    };
    bests = mining == Mining::batch_hard ? m : mining == Mining::semi_hard ? count : 0;
    best = reinterpret_cast<Best*>(take(bests * kBestFloats));
    parts = reinterpret_cast<DistanceSums*>(take(gpu::list_sums_floats(count)));
    pairs = reinterpret_cast<RowPair*>(take(4 * count));
    weights = take(2 * count);
    positives = take(mining == Mining::semi_hard ? count : 0);
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
  const Embeddings rows{e, m, d, classes.of_row};
  const int64_t side = count > 0 ? gpu::ceil_divide<int64_t>(m, kTile) : 0;
  const dim3 tiles(static_cast<unsigned>(side * (side + 1) / 2));
  if (mining == Mining::batch_hard) {
    gpu::for_each("prepare_batch_hard", count > 0 ? m : 0, stream, PrepareBatchHard{x.best});
    gpu::launch({"mine_batch_hard", tiles, dim3(kTileThreads), stream}, mine_batch_hard_kernel, rows, x.best);
  } else if (mining == Mining::semi_hard) {
    gpu::for_each("prepare_semi_hard", count, stream, PrepareSemiHard{e, d, triplets, x.best, x.positives});
    gpu::launch({"mine_semi_hard", tiles, dim3(kTileThreads), stream}, mine_semi_hard_kernel, rows, triplets, count,
                x.positives, x.best);
  }
  const auto kernel = mining == Mining::listed       ? triplet_loss_kernel<Mining::listed>
                      : mining == Mining::batch_hard ? triplet_loss_kernel<Mining::batch_hard>
                                                     : triplet_loss_kernel<Mining::semi_hard>;
  const int64_t blocks = gpu::list_blocks(count);
  gpu::launch({"triplet_loss", dim3(static_cast<unsigned>(blocks)), dim3(gpu::kListThreads), stream}, kernel, params, e,
              d, triplets, count, scale, x.best, x.positives, x.pairs, x.weights, x.parts);
  gpu::finish_pairs("triplet_finish", e, m, d, x.pairs, x.weights, 2 * count, de, x.parts, blocks, scale, loss, sums,
                    stream);
}

}  // namespace lookalike::cuda
