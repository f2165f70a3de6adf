// 2 q n d flops; the database is read once for every 64 queries, the scores never leave the registers.
//
// A block takes 64 queries and a range of the database, tile by tile. Scores above a query's threshold, the k-th best so
// far, are appended to the query's pending list; that happens some k ln(n / k) times in n. When the list is nearly full
// it is sorted and merged into the query's best list, and the threshold rises. At the end the best lists of all ranges
// are merged, 16 at a time.
//
// An entry is one 64-bit key: the score's bits, made so that they order as integers, above the inverted index. Keys are
// distinct and their order is total, so the order in which they are appended does not matter.
#include "kernels/gpu/row_tile.h"
#include "kernels/top_k.h"

namespace lookalike::cuda {
namespace {

using gpu::kTile, gpu::kTileThreads;

constexpr int kLeastLength = 2 * kTile;
constexpr int kWarpSorts =
    512;  // lists up to this length are sorted by a warp each: four of them fit the tile's panels
constexpr int kMergeFan = 16;
constexpr int kBlocksPerProcessor = 4;

// Where the lists are: for each query and split `length` best keys in falling order, 0 where there is none, then room for
// `length` pending ones.
struct Lists {
  uint64_t* keys;
  int length, k, splits;

  __device__ uint64_t* best(int64_t query, int64_t split) const { return keys + (query * splits + split) * 2 * length; }
  __device__ uint64_t* pending(int64_t query, int64_t split) const { return best(query, split) + length; }
};

__device__ uint64_t make_key(float score, int64_t index) {
  // Zero has one sign only.
  const unsigned bits = __float_as_uint(isnan(score) ? -INFINITY : score + 0.0f);
  const unsigned ordered = bits ^ (bits >> 31 != 0 ? 0xffffffffu : 0x80000000u);
  return uint64_t{ordered} << 32 | static_cast<uint32_t>(~index);
}

__device__ float score_of(uint64_t key) {
  const unsigned ordered = static_cast<unsigned>(key >> 32);
  return __uint_as_float(ordered ^ (ordered >> 31 != 0 ? 0x80000000u : 0xffffffffu));
}

// Threads that work on one list: a warp or the block.
template <int kThreads>
struct Group {
  static __device__ int lane() { return static_cast<int>(threadIdx.x) % kThreads; }
  static __device__ void sync() {
    if constexpr (kThreads == gpu::kWarp)
      __syncwarp();
    else
      __syncthreads();
  }

  // Bitonic runs of `run` keys to sorted ones, falling where the run's number is even. All see the keys after it.
  static __device__ void merge_runs(uint64_t* keys, int length, int run) {
    for (int distance = run / 2; distance > 0; distance /= 2) {
      for (int i = lane(); i < length / 2; i += kThreads) {
        const int low = 2 * i - (i & (distance - 1)), high = low + distance;
        const uint64_t a = keys[low], b = keys[high];
        if ((a < b) == ((low & run) == 0)) keys[low] = b, keys[high] = a;
      }
      sync();
    }
  }

  static __device__ void sort(uint64_t* keys, int length) {
    for (int run = 2; run <= length; run *= 2) merge_runs(keys, length, run);
  }

  // keys[length], falling, becomes the best of it and of `other`, falling.
  static __device__ void merge(uint64_t* keys, const uint64_t* other, int length) {
    for (int i = lane(); i < length; i += kThreads) keys[i] = max(keys[i], other[length - 1 - i]);
    sync();
    merge_runs(keys, length, length);
  }
};

// The query's pending keys go into its best list. keys[length] is shared memory of this group.
template <int kThreads>
__device__ void prune(uint64_t* keys, uint64_t* best, const Lists& lists, int* count, float* threshold) {
  using Group = Group<kThreads>;
  const uint64_t* pending = best + lists.length;
  const int filled = *count;
  for (int i = Group::lane(); i < lists.length; i += kThreads) keys[i] = i < filled ? pending[i] : 0;
  Group::sync();
  Group::sort(keys, lists.length);
  Group::merge(keys, best, lists.length);
  for (int i = Group::lane(); i < lists.length; i += kThreads) best[i] = keys[i];
  if (Group::lane() == 0) {
    const uint64_t last = keys[lists.k - 1];
    *count = 0;
    *threshold = last == 0 ? NAN : score_of(last);
  }
  Group::sync();
}

template <int kSortThreads>
__global__ void __launch_bounds__(kTileThreads) select_kernel(const float* queries, const float* database, int64_t q,
                                                              int64_t n, int64_t d, int64_t tiles, Lists lists) {
  // The tile's panels, and the keys of the lists being sorted.
  LOOKALIKE_SHARED(float4, shared, [gpu::kPanelFloats / 4]);
  LOOKALIKE_SHARED(float, threshold, [kTile]);
  LOOKALIKE_SHARED(int, count, [kTile]);
  constexpr int kGroups = kTileThreads / kSortThreads;
  const int group = static_cast<int>(threadIdx.x) / kSortThreads;
  uint64_t* keys = reinterpret_cast<uint64_t*>(shared) + group * lists.length;

  const int64_t first_query = int64_t{blockIdx.x} * kTile, split = blockIdx.y;
  const int rows = static_cast<int>(min(int64_t{kTile}, q - first_query));
  const int64_t begin = split * tiles * kTile, end = min(n, begin + tiles * kTile);
  const int ty = threadIdx.x / 16, tx = threadIdx.x % 16;

  if (threadIdx.x < kTile) threshold[threadIdx.x] = NAN, count[threadIdx.x] = 0;
  for (int row = 0; row < rows; row++) {
    uint64_t* best = lists.best(first_query + row, split);
    for (int i = threadIdx.x; i < lists.length; i += kTileThreads) best[i] = 0;
  }
  for (int64_t first = begin; first < end; first += kTile) {
    float sums[8][4];
    gpu::row_tile<gpu::ProductStep>({queries, first_query, q}, {database, first, n}, d,
                                    reinterpret_cast<float*>(shared), sums);
#pragma unroll
    for (int r = 0; r < 8; r++) {
      const int row = 8 * ty + r;
      const float least = threshold[row];
#pragma unroll
      for (int c = 0; c < 4; c++) {
        const int64_t column = first + 4 * tx + c;
        // True for NaN on either side. One equal to the threshold comes after k that are at least as good.
        if (!(sums[r][c] <= least) && row < rows && column < end) {
          const int slot = atomicAdd(&count[row], 1);
          lists.pending(first_query + row, split)[slot] = make_key(sums[r][c], column);
        }
      }
    }
    __syncthreads();
    // Before the next tile there must be room for all of it; at the end nothing stays pending.
    const int room = first + kTile < end ? lists.length - kTile : 0;
    if (__syncthreads_or(threadIdx.x < kTile && count[threadIdx.x] > room)) {
      for (int row = group; row < rows; row += kGroups) {
        if (count[row] > room) {
          prune<kSortThreads>(keys, lists.best(first_query + row, split), lists, &count[row], &threshold[row]);
        }
      }
    }
  }
}

// Lists `stride` apart, kMergeFan of them, into the first; the last round writes the result.
__global__ void __launch_bounds__(kTileThreads)
    merge_kernel(Lists lists, int stride, bool last, float* scores, int64_t* indices) {
  LOOKALIKE_SHARED(uint64_t, keys, [kTopKMost]);
  using Group = Group<kTileThreads>;
  const int64_t query = blockIdx.x;
  const int first = static_cast<int>(blockIdx.y) * kMergeFan * stride;
  const int end = min(lists.splits, first + kMergeFan * stride);
  uint64_t* result = lists.best(query, first);
  for (int i = threadIdx.x; i < lists.length; i += kTileThreads) keys[i] = result[i];  // merge() reads only its own
  for (int split = first + stride; split < end; split += stride) {
    Group::merge(keys, lists.best(query, split), lists.length);
  }
  for (int i = threadIdx.x; i < (last ? lists.k : lists.length); i += kTileThreads) {
    if (last) {
      scores[query * lists.k + i] = score_of(keys[i]);
      indices[query * lists.k + i] = static_cast<uint32_t>(~keys[i]);
    } else {
      result[i] = keys[i];
    }
  }
}

struct Plan {
  int64_t length, queries;  // of a list; of one round
  gpu::TileSplits splits;
};

Plan make_plan(int64_t q, int64_t n, int64_t k) {
  const int64_t slots = int64_t{gpu::limits().multiprocessors} * kBlocksPerProcessor;
  int64_t length = kLeastLength;
  while (length < k) length *= 2;
  const int64_t queries = std::min(q, slots * kTile);
  return {length, queries,
          gpu::TileSplits(gpu::ceil_divide<int64_t>(queries, kTile), gpu::ceil_divide<int64_t>(n, kTile), slots)};
}

}  // namespace

int64_t top_k_workspace(int64_t q, int64_t n, int64_t k) {
  const Plan plan = make_plan(q, n, k);
  return plan.queries * plan.splits.splits * 2 * plan.length;
}

void top_k(const float* queries, const float* database, int64_t q, int64_t n, int64_t d, int64_t k, uint64_t* workspace,
           float* scores, int64_t* indices, gpu::Stream stream) {
  const Plan plan = make_plan(q, n, k);
  const Lists lists{workspace, static_cast<int>(plan.length), static_cast<int>(k),
                    static_cast<int>(plan.splits.splits)};
  const dim3 threads(kTileThreads);
  const auto unsigned_of = [](int64_t x) { return static_cast<unsigned>(x); };
  for (int64_t first = 0; first < q; first += plan.queries) {
    const int64_t count = std::min(plan.queries, q - first);
    const auto select = plan.length <= kWarpSorts ? select_kernel<gpu::kWarp> : select_kernel<kTileThreads>;
    gpu::launch({"top_k_select", dim3(unsigned_of(gpu::ceil_divide<int64_t>(count, kTile)), unsigned_of(lists.splits)),
                 threads, stream},
                select, queries + first * d, database, count, n, d, plan.splits.tiles, lists);
    bool last = false;
    for (int stride = 1; !last; stride *= kMergeFan) {
      const int left = gpu::ceil_divide(lists.splits, stride * kMergeFan);
      last = left == 1;
      gpu::launch({"top_k_merge", dim3(unsigned_of(count), unsigned_of(left)), threads, stream}, merge_kernel, lists,
                  stride, last, scores + first * k, indices + first * k);
    }
  }
}

}  // namespace lookalike::cuda
