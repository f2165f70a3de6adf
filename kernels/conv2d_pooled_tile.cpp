#include "kernels/conv2d_pooled_tile.h"

#include "kernels/simd.h"

namespace lookalike::cpu {
namespace {

constexpr int kSums = 2 * kTile;  // accumulators that fit into registers beside a vector or two

inline Vec gradient(const OutputGradient& g, int64_t at, int64_t n) {
  const Vec dz = load_some(g.dy + at, n);
  return g.y ? load_some(g.y + at, n) > 0 ? dz : g.slope * dz : dz;
}

void gather_by_channel(const OutputGradient& g, int64_t row, int64_t rows, int64_t right, int64_t down,
                       const PooledLists& lists, float* dbias) {
  const int64_t pixels = rows * g.y_w;
  const IntVec zero = {}, to_right = zero + static_cast<int32_t>(right), below = zero + static_cast<int32_t>(down);
  for (int64_t k = 0; k < g.channels; k++) lists.count[k] = 0;
  int32_t corners[kLanes] = {}, corner = 0;
  int64_t column = 0;
  for (int64_t first = 0; first < pixels; first += kLanes) {
    for (int32_t& of : corners) {
      of = corner, corner += static_cast<int32_t>(2 * right);
      if (++column == g.y_w) column = 0, corner += static_cast<int32_t>(2 * down - 2 * right * g.y_w);
    }
    const int64_t count = pixels - first < kLanes ? pixels - first : kLanes;
    for (int64_t k = 0; k < g.channels; k += kLanes) {
      const int64_t n = g.channels - k < kLanes ? g.channels - k : kLanes;
      // Pixels by channels, then turned into channels by pixels.
      Vec values[kLanes], places[kLanes], sum = load_some(dbias + k, n);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; i++) {
        if (i >= count) {
          values[i] = places[i] = Vec{};
          continue;
        }
        const int64_t at = (row * g.y_w + first + i) * g.channels + k;
        const IntVec place = load_some(g.argmax + at, n);
        values[i] = gradient(g, at, n);
        places[i] = (Vec)(corners[i] + ((place & 1) != 0 ? to_right : zero) + (place > 1 ? below : zero));
        sum += values[i];
      }
      store_some(dbias + k, sum, n);
      transpose(values);
      transpose(places);
      for (int i = 0; i < n; i++) {
        const int64_t end = (k + i) * lists.capacity + lists.count[k + i];
        lists.count[k + i] +=
            static_cast<int32_t>(keep_nonzero((IntVec)places[i], values[i], lists.at + end, lists.value + end));
      }
    }
  }
}

// dw[R][V vectors] of one channel.
template <int R, int V>
void weight_gradient_tile(const PooledLists& lists, int64_t k, const float* in, int64_t in_row, float* dw,
                          int64_t pitch) {
  const int32_t* at = lists.at + k * lists.capacity;
  const float* values = lists.value + k * lists.capacity;
  const int64_t n = lists.count[k];
  Vec sums[R][V];
#pragma GCC unroll 28
  for (int r = 0; r < R; r++)
#pragma GCC unroll 28
    for (int v = 0; v < V; v++) sums[r][v] = load(dw + r * pitch + v * kLanes);
  for (int64_t i = 0; i < n; i++) {
    const float* from = in + at[i];
    const float value = values[i];
#pragma GCC unroll 28
    for (int r = 0; r < R; r++)
#pragma GCC unroll 28
      for (int v = 0; v < V; v++) sums[r][v] += value * load(from + r * in_row + v * kLanes);
  }
#pragma GCC unroll 28
  for (int r = 0; r < R; r++)
#pragma GCC unroll 28
    for (int v = 0; v < V; v++) store(dw + r * pitch + v * kLanes, sums[r][v]);
}

template <int R>
void weight_gradient_rows(const Correlation& c, const float* in, const PooledLists& lists, float* dw) {
  const int64_t vectors = (c.run + kLanes - 1) / kLanes, pitch = vectors * kLanes;
  constexpr int kMost = kSums / R;
  const int64_t pieces = (vectors + kMost - 1) / kMost;
  for (int64_t r = 0; r < c.kernel_h; r += R)
    for (int64_t piece = 0; piece < pieces; piece++) {
      const int64_t first = vectors * piece / pieces, last = vectors * (piece + 1) / pieces;
      with_constant<kMost>(last - first, [&]<int V>() {
        for (int64_t k = 0; k < c.out_c; k++)
          weight_gradient_tile<R, V>(lists, k, in + r * c.in_row + first * kLanes, c.in_row,
                                     dw + (k * c.kernel_h + r) * pitch + first * kLanes, pitch);
      });
    }
}

void weight_gradient(const Correlation& c, const float* in, const PooledLists& lists, float* dw) {
  // Few channels leave registers free for all rows of the window at once.
  const int64_t vectors = (c.run + kLanes - 1) / kLanes;
  if (c.kernel_h == 5 && 5 * vectors <= kSums) return weight_gradient_rows<5>(c, in, lists, dw);
  if (c.kernel_h == 3 && 3 * vectors <= kSums) return weight_gradient_rows<3>(c, in, lists, dw);
  weight_gradient_rows<1>(c, in, lists, dw);
}

void gather_by_place(const OutputGradient& g, int64_t row, int64_t first, int64_t count, int64_t weights,
                     const PooledLists& lists) {
  IntVec steps;
  for (int i = 0; i < kLanes; i++) steps[i] = i * static_cast<int32_t>(weights);
  for (int64_t q = 0; q < g.y_w; q++) {
    const int64_t pixel = (row * g.y_w + q) * g.channels + first;
    for (int place = 0; place < 4; place++) {
      const int64_t begin = (4 * q + place) * lists.capacity;
      int64_t end = begin;
      for (int64_t k = 0; k < count; k += kLanes) {
        const int64_t n = count - k < kLanes ? count - k : kLanes;
        const Vec value = gradient(g, pixel + k, n);
        end += keep_nonzero(steps + static_cast<int32_t>(k * weights),
                            load_some(g.argmax + pixel + k, n) == place ? value : Vec{}, lists.at + end,
                            lists.value + end);
      }
      lists.count[4 * q + place] = static_cast<int32_t>(end - begin);
    }
  }
}

template <int Taps>
void scatter_tile(const PooledLists& lists, int64_t list, const float* packed, const int64_t* tap_at, float* dx) {
  const int32_t* at = lists.at + list * lists.capacity;
  const float* values = lists.value + list * lists.capacity;
  Vec sums[Taps] = {};
  for (int64_t i = 0, n = lists.count[list]; i < n; i++) {
    const float* from = packed + at[i];
    const float value = values[i];
#pragma GCC unroll 28
    for (int t = 0; t < Taps; t++) sums[t] += value * load(from + t * kLanes);
  }
#pragma GCC unroll 28
  for (int t = 0; t < Taps; t++) store(dx + tap_at[t], load(dx + tap_at[t]) + sums[t]);
}

void scatter(int64_t taps, const PooledLists& lists, int64_t pixels, const float* packed, const int64_t* tap_at,
             const int64_t* place_at, int64_t step, float* dx) {
  with_constant<kSums>(taps, [&]<int Taps>() {
    for (int64_t q = 0; q < pixels; q++)
      for (int64_t place = 0; place < 4; place++)
        scatter_tile<Taps>(lists, 4 * q + place, packed, tap_at, dx + q * step + place_at[place]);
  });
}

}  // namespace

namespace LOOKALIKE_ISA {
const PooledTiles kPooledTiles{kLanes, kSums, gather_by_channel, weight_gradient, gather_by_place, scatter};
}
}  // namespace lookalike::cpu
