#include "kernels/conv2d_tile.h"

#include <cstddef>
#include <limits>
#include <utility>

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

constexpr int64_t kFar = 128;  // floats from one pixel to the next

// The weights of the next block, fetched into the second-level cache by the first two tiles of this one, half of them each: behind
// whole networks they come from far away.
struct Ahead {
  const float* next;
  int64_t half;  // floats
  int tiles = 0;

  // Where the next tile begins to fetch, and how far it goes on with each step.
  std::pair<const float*, int64_t> take() {
    constexpr int64_t kLine = 16;
    const int64_t tile = tiles++;
    return tile < 2 ? std::pair(next + tile * half, kLine) : std::pair(next, int64_t{0});
  }
};

// H rows of out[T][V * kLanes] at steps of out_step, rows c.out_down apart. V = 1: of a block whose second half is empty. plus: like out.
template <int H, int T, int V>
void correlate_tile(const Correlation& c, const float* in, const float* w, const float* bias, const float* plus,
                    float* out, int64_t out_step, Ahead& ahead) {
  auto [fetch, fetch_step] = ahead.take();
  const Pixels<float, H, T> to(out, c.out_down, out_step);
  Vec sums[H * T][V];
#pragma GCC unroll 16
  for (int i = 0; i < H * T; i++)
    for (int v = 0; v < V; v++) {
      sums[i][v] = load(bias + v * kLanes);
      // The lines to write are fetched while the sums are made.
      __builtin_prefetch(to.at(i) + v * kLanes, 1);
    }
  for (int64_t r = 0; r < c.kernel_h; r++) {
    Pixels<const float, H, T> from(in + r * c.in_row, c.down, c.right);
    for (int64_t j = 0; j < c.run; j++, w += kBlock, fetch += fetch_step, from.advance(1)) {
      __builtin_prefetch(fetch, 0, 2);
      Vec weights[V];
      for (int v = 0; v < V; v++) weights[v] = load(w + v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < H * T; i++) {
        const float x = *from.at(i);
        for (int v = 0; v < V; v++) sums[i][v] += x * weights[v];
      }
    }
  }
  if (plus) {
    const Pixels<const float, H, T> more(plus, c.out_down, out_step);
#pragma GCC unroll 16
    for (int i = 0; i < H * T; i++)
      for (int v = 0; v < V; v++) sums[i][v] += load(more.at(i) + v * kLanes);
  }
  with_leaky(
      c.slope, c.limit, [&](const auto& f) __attribute__((always_inline)) {
#pragma GCC unroll 16
        for (int i = 0; i < H * T; i++)
          for (int v = 0; v < V; v++) store(to.at(i) + v * kLanes, f(sums[i][v]));
      });
}

template <int V>
void correlate_row(const Correlation& c, const float* in, const float* w, const float* bias, const float* plus,
                   float* out, int64_t out_step, Ahead& ahead) {
  for_tiles(c.columns, [&]<int T>(int64_t q) {
    correlate_tile<1, T, V>(c, in + q * c.right, w, bias, plus ? plus + q * out_step : nullptr, out + q * out_step,
                            out_step, ahead);
  });
}

// Two rows[2][c.columns][kBlock] of outputs -> y[c.columns / 2][count] and argmax, at steps of c.out_right; count <= V * kLanes.
template <int V>
void pool_rows(const Correlation& c, const float* rows, int64_t count, float* y, uint8_t* argmax) {
  with_leaky(
      c.slope, c.limit, [&](const auto& f) __attribute__((always_inline)) {
        for (int64_t q = 0; q < c.columns / 2; q++, y += c.out_right, argmax += c.out_right) {
          float best[kBlock];
          uint8_t place[kBlock];
          for (int half = 0; half < V * kLanes; half += kLanes) {
            const float* from = rows + 2 * q * kBlock + half;
            Vec value = load(from);
            IntVec at = {};
            for (int i = 1; i < 4; i++) {
              const Vec other = load(from + (i / 2 * c.columns + i % 2) * kBlock);
              const IntVec wins = other > value;
              value = wins ? other : value;
              at = wins ? IntVec{} + i : at;
            }
            store(best + half, f(value));
            narrow(at, place + half);
          }
          __builtin_memcpy(y, best, static_cast<size_t>(count) * sizeof(float));
          __builtin_memcpy(argmax, place, static_cast<size_t>(count));
        }
      });
}

// One block of `count` channels.
template <int V>
void correlate_block(const Correlation& c, const float* in, const float* w, const float* bias, const float* plus,
                     int64_t count, float* scratch, float* y, uint8_t* argmax, Ahead ahead) {
  Correlation plain = c;  // the activation comes after the maximum, or the addition
  plain.slope = 1, plain.limit = std::numeric_limits<float>::infinity();
  const bool direct = c.pool == 1 && count == V * kLanes, pairs = direct && 2 * c.columns <= kTile;
  for (int64_t p = 0; p < c.rows; p += c.pool) {
    const float* from = in + p * c.down;
    const int64_t at = p / c.pool * c.out_down;
    if (c.pool == 2) {
      for (int row = 0; row < 2; row++)
        correlate_row<V>(plain, from + row * c.down, w, bias, nullptr, scratch + row * c.columns * kBlock, kBlock,
                         ahead);
      pool_rows<V>(c, scratch, count, y + at, argmax + at);
    } else if (pairs && p + 1 < c.rows) {  // rows as short as half a tile
      with_constant<kTile / 2>(c.columns, [&]<int T>() {
        correlate_tile<2, T, V>(c, from, w, bias, plus ? plus + at : nullptr, y + at, c.out_right, ahead);
      });
      p++;
    } else if (direct) {
      correlate_row<V>(c, from, w, bias, plus ? plus + at : nullptr, y + at, c.out_right, ahead);
    } else {
      correlate_row<V>(plus ? plain : c, from, w, bias, nullptr, scratch, kBlock, ahead);
      with_leaky(
          c.slope, c.limit, [&](const auto& f) __attribute__((always_inline)) {
            for (int64_t q = 0; q < c.columns; q++) {
              float *sums = scratch + q * kBlock, *to = y + at + q * c.out_right;
              for (int64_t k = 0; plus && k < count; k += kLanes)
                store(sums + k, f(load(sums + k) + load_some(plus + (to - y) + k, count - k)));
              __builtin_memcpy(to, sums, static_cast<size_t>(count) * sizeof(float));
            }
          });
    }
  }
}

constexpr int64_t kFewWindow = 4608;  // floats: 3x3 of 512 channels

// Channels that leave most lanes of a vector empty: there the lanes are along the window's runs.
bool few(int64_t channels, int64_t kernel_h, int64_t run) {
  return 2 * channels <= kLanes && run >= kLanes && kernel_h * run <= kFewWindow;
}

// One channel of kLanes outputs in a row, or of those `count` that there are; w[kernel_h * run].
Vec correlate_few(const Correlation& c, const float* in, const float* w, int64_t count) {
  Vec sums[kLanes] = {};
  for (int64_t r = 0; r < c.kernel_h; r++, w += c.run) {
    const float* from = in + r * c.in_row;
    for (int64_t j = 0; j < c.run; j += kLanes) {
      const int64_t left = c.run - j;
      const Vec weights = load_some(w + j, left);
      if (count == kLanes && left >= kLanes) {
        const Pixels<const float, 1, kLanes> pixels(from + j, 0, c.right);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; i++) sums[i] += weights * load(pixels.at(i));
      } else {
        for (int64_t i = 0; i < count; i++)
          sums[i] += weights * load_some(from + i * c.right + j, left);
      }
    }
  }
  transpose(sums);
  Vec sum = sums[0];
#pragma GCC unroll 16
  for (int i = 1; i < kLanes; i++) sum += sums[i];
  return sum;
}

// Few channels of a block without pooling.
void correlate_few_channels(const Correlation& c, const float* in, const float* packed,
                            const float* bias, const float* plus, int64_t count, float* y) {
  float w[kFewWindow];
  for (int64_t k = 0; k < count; k++) {
    for (int64_t i = 0; i < c.kernel_h * c.run; i++) w[i] = packed[i * kBlock + k];
    with_leaky(
        c.slope, c.limit, [&](const auto& f) __attribute__((always_inline)) {
          for (int64_t p = 0; p < c.rows; p++)
            for (int64_t q = 0; q < c.columns; q += kLanes) {
              const int64_t pixels = c.columns - q < kLanes ? c.columns - q : kLanes;
              const int64_t at = p * c.out_down + q * c.out_right + k;
              Vec z = correlate_few(c, in + p * c.down + q * c.right, w, pixels) + bias[k];
              for (int64_t i = 0; plus && i < pixels; i++) z[i] += plus[at + i * c.out_right];
              z = f(z);
              for (int64_t i = 0; i < pixels; i++) y[at + i * c.out_right] = z[i];
            }
        });
  }
}

void correlate(const Correlation& c, const float* in, const float* packed, const float* bias, const float* plus,
               float* scratch, float* y, uint8_t* argmax) {
  const int64_t window = c.kernel_h * c.run;
  // Pointwise: one contiguous array, of which a tile reads many places at once, and every block reads all.
  if (c.kernel_h == 1 && c.run == c.right && c.out_c > kBlock)
    for (int64_t i = 0; i < c.rows * c.columns * c.right; i += 16) __builtin_prefetch(in + i, 0, 2);
  for (int64_t k = 0; k < c.out_c; k += kBlock, packed += window * kBlock) {
    const int64_t count = c.out_c - k < kBlock ? c.out_c - k : kBlock;
    if (c.pool == 1 && few(count, c.kernel_h, c.run)) {
      correlate_few_channels(c, in, packed, bias + k, plus ? plus + k : nullptr, count, y + k);
      continue;
    }
    const float* next = k + kBlock < c.out_c ? packed + window * kBlock : c.next;
    const Ahead ahead{next ? next : packed, window * kBlock / 2};
    const auto block = count > kLanes ? correlate_block<2> : correlate_block<1>;
    block(c, in, packed, bias + k, plus ? plus + k : nullptr, count, scratch, y + k, argmax + (c.pool == 2 ? k : 0),
          ahead);
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

// The sums of dw[T][V * kLanes] stay in registers over all pixels, which lie `right` apart in rows `down` apart; those
// of dz lie dz_right apart.
template <int T, int V>
void weight_gradient_tile(int64_t rows, int64_t columns, const float* in, int64_t right, int64_t down, const float* dz,
                          int64_t dz_right, float* dw) {
  Vec sums[T][V];
#pragma GCC unroll 16
  for (int i = 0; i < T; i++)
    for (int v = 0; v < V; v++) sums[i][v] = load(dw + i * kBlock + v * kLanes);
  for (int64_t p = 0; p < rows; p++) {
    const float* from = in + p * down;
    for (int64_t q = 0; q < columns; q++, from += right, dz += dz_right) {
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

void weight_gradient(const Correlation& c, const float* in, const float* dz, int64_t dz_block, float* scratch,
                     float* dw, float* dbias) {
  const int64_t pixels = c.rows * c.columns, window = c.kernel_h * c.run;
  // Pixels far apart share no cache line and, at distances of powers of two, few places in the first-level cache; where
  // several blocks want them, they are laid out side by side first.
  const bool copied = c.right >= kFar && c.out_c > kBlock;
  if (copied)
    for (int64_t r = 0; r < (c.rows - 1) * c.down / c.in_row + c.kernel_h; r++)
      for (int64_t i = 0; i < (c.columns - 1) * c.right + c.run; i += 16)
        __builtin_prefetch(in + r * c.in_row + i, 0, 2);
  for_tiles(c.run, [&]<int T>(int64_t j) {
    for (int64_t r = 0; r < c.kernel_h; r++) {
      const float* from = in + r * c.in_row + j;
      int64_t rows = c.rows, columns = c.columns, right = c.right;
      if (copied) {
        float* to = scratch;
        for (int64_t p = 0; p < rows; p++)
          for (int64_t q = 0; q < columns; q++, to += T)
            __builtin_memcpy(to, from + p * c.down + q * right, T * sizeof(float));
        from = scratch, rows = 1, columns = pixels, right = T;
      }
      for (int64_t k = 0; k < c.out_c; k += kBlock) {
        const auto tile = c.out_c - k > kLanes ? weight_gradient_tile<T, 2> : weight_gradient_tile<T, 1>;
        tile(rows, columns, from, right, c.down, dz + k / kBlock * dz_block, c.out_right,
             dw + k * window + (r * c.run + j) * kBlock);
      }
    }
  });
  for (int64_t k = 0; dbias && k < c.out_c; k += kLanes) {
    const float* from = dz + k / kBlock * dz_block + k % kBlock;
    Vec sum = load(dbias + k);
    for (int64_t i = 0; i < pixels; i++, from += c.out_right) sum += load(from);
    store(dbias + k, sum);
  }
}

// P vectors of one row of the window, which meet every pixel of one channel of dz.
template <int P>
void weight_gradient_run(const Correlation& c, const float* in, const float* dz, float* dw) {
  constexpr int kChains = P > 2 ? 4 : 8;  // of sums that don't wait for each other
  Vec sums[kChains][P] = {};
  const int64_t step = c.out_right;
  const auto add = [&](const float* from, float gradient, Vec(&to)[P]) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int v = 0; v < P; v++) to[v] += gradient * load(from + v * kLanes);
  };
  for (int64_t p = 0; p < c.rows; p++) {
    const float* from = in + p * c.down;
    int64_t q = 0;
    for (; q + kChains <= c.columns; q += kChains, dz += kChains * step)
#pragma GCC unroll 8
      for (int i = 0; i < kChains; i++) add(from + (q + i) * c.right, dz[i * step], sums[i]);
    for (; q < c.columns; q++, dz += step) add(from + q * c.right, *dz, sums[0]);
  }
  for (int v = 0; v < P; v++) {
    Vec sum = load(dw + v * kLanes);
    for (int i = 0; i < kChains; i++) sum += sums[i][v];
    store(dw + v * kLanes, sum);
  }
}

void weight_gradient_few(const Correlation& c, const float* in, const float* dz, float* dw,
                         float* dbias) {
  constexpr int kMost = 4;
  for (int64_t k = 0; k < c.out_c; k++, dz++)
    for (int64_t r = 0; r < c.kernel_h; r++, dw += c.run) {
      const int64_t vectors = c.run / kLanes;
      for (int64_t v = 0; v < vectors; v += kMost)
        with_constant<kMost>(vectors - v, [&]<int P>() {
          weight_gradient_run<P>(c, in + r * c.in_row + v * kLanes, dz, dw + v * kLanes);
        });
      for (int64_t i = vectors * kLanes; i < c.run; i++) {
        const float *from = in + r * c.in_row + i, *gradient = dz;
        float sum = 0;
        for (int64_t p = 0; p < c.rows; p++)
          for (int64_t q = 0; q < c.columns; q++, gradient += c.out_right)
            sum += *gradient * from[p * c.down + q * c.right];
        dw[i] += sum;
      }
    }
  if (!dbias) return;
  dz -= c.out_c;
  for (int64_t k = 0; k < c.out_c; k++) {
    float sum = 0;
    for (int64_t i = 0; i < c.rows * c.columns; i++) sum += dz[i * c.out_right + k];
    dbias[k] += sum;
  }
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
const ConvTiles kConvTiles{kBlock,       kLanes,          pack_weights,        pack_tap,      correlate, few,
                           gradient_row, weight_gradient, weight_gradient_few, unpack_weights};
}
}  // namespace lookalike::cpu
