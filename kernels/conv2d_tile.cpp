#include "kernels/conv2d_tile.h"

#include <cstddef>

#include "kernels/simd.h"

namespace lookalike::cpu {
namespace {

void pack_weights(const float* w, int64_t out_c, int64_t window, int64_t b, float* packed) {
  constexpr int64_t kLine = 16;  // floats of a cache line, read at a time
  for (int64_t begin = 0; begin < window; begin += kLine) {
    const int64_t end = begin + kLine < window ? begin + kLine : window;
    for (int64_t k = 0; k < kBlock; k++) {
      const int64_t row = b * kBlock + k;
      for (int64_t i = begin; i < end; i++) packed[i * kBlock + k] = row < out_c ? w[row * window + i] : 0;
    }
  }
}

void pack_tap(const float* w, int64_t out_c, int64_t filter, int64_t count, float* packed) {
  for (int64_t k = 0; k < out_c; k++, w += filter, packed += kBlock)
    for (int64_t c = 0; c < kBlock; c++) packed[c] = c < count ? w[c] : 0;
}

inline Vec leaky(Vec x, float slope) {
  return x > 0 ? x : slope * x;
}

// out[T][V * kLanes] at steps of out_step. V = 1: of a block whose second half is empty.
template <int T, int V>
void correlate_tile(const Correlation& c, const float* in, const float* w, const float* bias, float* out,
                    int64_t out_step) {
  const int64_t step = c.right;
  Vec sums[T][V];
#pragma GCC unroll 16
  for (int i = 0; i < T; i++)
    for (int v = 0; v < V; v++) sums[i][v] = load(bias + v * kLanes);
  for (int64_t r = 0; r < c.kernel_h; r++) {
    const float* from = in + r * c.in_row;
    for (int64_t j = 0; j < c.run; j++, w += kBlock) {
      Vec weights[V];
      for (int v = 0; v < V; v++) weights[v] = load(w + v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < T; i++) {
        const float x = from[i * step + j];
        for (int v = 0; v < V; v++) sums[i][v] += x * weights[v];
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < T; i++)
    for (int v = 0; v < V; v++) store(out + i * out_step + v * kLanes, leaky(sums[i][v], c.slope));
}

template <int V>
void correlate_row(const Correlation& c, const float* in, const float* w, const float* bias, float* out,
                   int64_t out_step) {
  for_tiles(c.columns, [&]<int T>(int64_t q) {
    correlate_tile<T, V>(c, in + q * c.right, w, bias, out + q * out_step, out_step);
  });
}

// Two rows[2][columns][kBlock] of outputs -> y[columns / 2][count] and argmax, at steps of out_step; count <= V * kLanes.
template <int V>
void pool_rows(const float* rows, int64_t columns, float slope, int64_t count, int64_t out_step, float* y,
               uint8_t* argmax) {
  for (int64_t q = 0; q < columns / 2; q++, y += out_step, argmax += out_step) {
    float best[kBlock];
    uint8_t place[kBlock];
    for (int half = 0; half < V * kLanes; half += kLanes) {
      const float* from = rows + 2 * q * kBlock + half;
      Vec value = load(from);
      IntVec at = {};
      for (int i = 1; i < 4; i++) {
        const Vec other = load(from + (i / 2 * columns + i % 2) * kBlock);
        const IntVec wins = other > value;
        value = wins ? other : value;
        at = wins ? IntVec{} + i : at;
      }
      store(best + half, leaky(value, slope));
      narrow(at, place + half);
    }
    __builtin_memcpy(y, best, static_cast<size_t>(count) * sizeof(float));
    __builtin_memcpy(argmax, place, static_cast<size_t>(count));
  }
}

// One block of `count` channels.
template <int V>
void correlate_block(const Correlation& c, const float* in, const float* w, const float* bias, int64_t count,
                     float* scratch, float* y, uint8_t* argmax) {
  Correlation plain = c;  // the activation comes after the maximum
  plain.slope = 1;
  for (int64_t p = 0; p < c.rows; p += c.pool) {
    const float* from = in + p * c.down;
    const int64_t at = p / c.pool * c.out_down;
    if (c.pool == 2) {
      for (int row = 0; row < 2; row++)
        correlate_row<V>(plain, from + row * c.down, w, bias, scratch + row * c.columns * kBlock, kBlock);
      pool_rows<V>(scratch, c.columns, c.slope, count, c.out_right, y + at, argmax + at);
    } else if (count == V * kLanes) {
      correlate_row<V>(c, from, w, bias, y + at, c.out_right);
    } else {
      correlate_row<V>(c, from, w, bias, scratch, kBlock);
      for (int64_t q = 0; q < c.columns; q++)
        __builtin_memcpy(y + at + q * c.out_right, scratch + q * kBlock, static_cast<size_t>(count) * sizeof(float));
    }
  }
}

void correlate(const Correlation& c, const float* in, const float* packed, const float* bias, float* scratch, float* y,
               uint8_t* argmax) {
  const int64_t window = c.kernel_h * c.run;
  for (int64_t k = 0; k < c.out_c; k += kBlock, packed += window * kBlock) {
    const int64_t count = c.out_c - k < kBlock ? c.out_c - k : kBlock;
    const auto block = count > kLanes ? correlate_block<2> : correlate_block<1>;
    block(c, in, packed, bias + k, count, scratch, y + k, argmax + (c.pool == 2 ? k : 0));
  }
}

void gradient_row(const OutputGradient& g, int64_t p, int64_t first, int64_t count, float* out, int64_t pixel_step,
                  int64_t block_step) {
  const int64_t row = g.argmax ? p / 2 : p;
  for (int64_t q = 0; q < g.y_w; q++) {
    const int64_t at = (row * g.y_w + q) * g.channels + first;
    for (int64_t k = 0; k < count; k += kLanes) {
      const int64_t n = count - k;
      float* to = out + k / kBlock * block_step + k % kBlock;
      Vec dz = load_some(g.dy + at + k, n);
      if (g.y) dz = load_some(g.y + at + k, n) > 0 ? dz : g.slope * dz;
      if (!g.argmax) {
        store_some(to + q * pixel_step, dz, n);
        continue;
      }
      const IntVec place = load_some(g.argmax + at + k, n) - static_cast<int32_t>(p % 2 * 2);
      store_some(to + 2 * q * pixel_step, place == 0 ? dz : Vec{}, n);
      store_some(to + (2 * q + 1) * pixel_step, place == 1 ? dz : Vec{}, n);
    }
  }
}

// The sums of dw[T][V * kLanes] stay in registers over all pixels.
template <int T, int V>
void weight_gradient_tile(const Correlation& c, const float* in, const float* dz, float* dw) {
  const int64_t right = c.right;
  Vec sums[T][V];
#pragma GCC unroll 16
  for (int i = 0; i < T; i++)
    for (int v = 0; v < V; v++) sums[i][v] = load(dw + i * kBlock + v * kLanes);
  for (int64_t p = 0; p < c.rows; p++) {
    const float* from = in + p * c.down;
    for (int64_t q = 0; q < c.columns; q++, from += right, dz += kBlock) {
      Vec gradients[V];
      for (int v = 0; v < V; v++) gradients[v] = load(dz + v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < T; i++) {
        const float x = from[i];
        for (int v = 0; v < V; v++) sums[i][v] += x * gradients[v];
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < T; i++)
    for (int v = 0; v < V; v++) store(dw + i * kBlock + v * kLanes, sums[i][v]);
}

void weight_gradient(const Correlation& c, const float* in, const float* dz, int64_t count, float* dw, float* dbias) {
  for_tiles(c.run, [&]<int T>(int64_t j) {
    const auto tile = count > kLanes ? weight_gradient_tile<T, 2> : weight_gradient_tile<T, 1>;
    for (int64_t r = 0; r < c.kernel_h; r++) tile(c, in + r * c.in_row + j, dz, dw + (r * c.run + j) * kBlock);
  });
  Vec sum0 = load(dbias), sum1 = load(dbias + kLanes);
  for (int64_t q = 0; q < c.rows * c.columns; q++)
    sum0 += load(dz + q * kBlock), sum1 += load(dz + q * kBlock + kLanes);
  store(dbias, sum0), store(dbias + kLanes, sum1);
}

void unpack_weights(const float* partials, int64_t groups, int64_t group, int64_t out_c, int64_t window, int64_t b,
                    int64_t begin, int64_t end, float* dw) {
  constexpr int64_t kLine = 16;
  for (; begin < end; begin += kLine) {
    const int64_t lines = begin + kLine < end ? kLine : end - begin;
    float sums[kLine * kBlock];
    for (int64_t i = 0; i < lines * kBlock; i += kLanes) {
      Vec sum = {};
      for (int64_t g = 0; g < groups; g++) sum += load(partials + g * group + begin * kBlock + i);
      store(sums + i, sum);
    }
    for (int64_t k = 0; k < kBlock && b * kBlock + k < out_c; k++)
      for (int64_t i = 0; i < lines; i++) dw[(b * kBlock + k) * window + begin + i] = sums[i * kBlock + k];
  }
}

}  // namespace

namespace LOOKALIKE_ISA {
const ConvTiles kConvTiles{kBlock, pack_weights, pack_tap, correlate, gradient_row, weight_gradient, unpack_weights};
}
}  // namespace lookalike::cpu
