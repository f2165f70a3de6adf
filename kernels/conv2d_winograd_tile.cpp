#include "kernels/conv2d_winograd_tile.h"

#include "kernels/simd.h"

namespace lookalike::cpu {
namespace {

#define LOOKALIKE_UNROLL _Pragma("GCC unroll 16")
#define LOOKALIKE_INLINED __attribute__((always_inline))  // a lambda
#define LOOKALIKE_INLINE LOOKALIKE_INLINED inline

constexpr int kOut = kWinogradOut, kIn = kWinogradIn;

// Multiply vectors by the matrices of F(4, 3). Points in this order: 0, infinity, a, -a, b, -b. The
// factors 1 / prod(p - q) of interpolation stand in A.
struct Winograd {
  static constexpr float a = 0.70710678118654752440f, a2 = 0.5f, b = 1.41421356237309504880f,
                         b2 = 2;
  static constexpr float na = -2.0f / 3, nb = 1.0f / 6;  // 1 / (2 p^2 (p^2 - q^2)); that of 0 is 1

  // B^T
  static void inputs(const Vec (&d)[kIn], Vec (&v)[kIn]) {
    const Vec ea = d[4] - b2 * d[2], oa = d[3] - b2 * d[1], eb = d[4] - a2 * d[2],
              ob = d[3] - a2 * d[1];
    v[0] = d[0] - (a2 + b2) * d[2] + d[4], v[1] = d[1] - (a2 + b2) * d[3] + d[5];
    v[2] = ea + a * oa, v[3] = ea - a * oa, v[4] = eb + b * ob, v[5] = eb - b * ob;
  }
  // G
  static void weights(const Vec (&g)[3], Vec (&u)[kIn]) {
    const Vec ea = g[0] + a2 * g[2], eb = g[0] + b2 * g[2];
    u[0] = g[0], u[1] = g[2];
    u[2] = ea + a * g[1], u[3] = ea - a * g[1], u[4] = eb + b * g[1], u[5] = eb - b * g[1];
  }
  // A^T
  static void outputs(const Vec (&m)[kIn], Vec (&y)[kOut]) {
    const Vec ea = m[2] + m[3], oa = m[2] - m[3], eb = m[4] + m[5], ob = m[4] - m[5];
    y[0] = m[0] + na * ea + nb * eb, y[1] = (a * na) * oa + (b * nb) * ob;
    y[2] = (a2 * na) * ea + (b2 * nb) * eb, y[3] = m[1] + (a * a2 * na) * oa + (b * b2 * nb) * ob;
  }
  // A
  static void gradients(const Vec (&y)[kOut], Vec (&d)[kIn]) {
    const Vec ea = na * y[0] + (a2 * na) * y[2], oa = (a * na) * y[1] + (a * a2 * na) * y[3];
    const Vec eb = nb * y[0] + (b2 * nb) * y[2], ob = (b * nb) * y[1] + (b * b2 * nb) * y[3];
    d[0] = y[0], d[1] = y[3];
    d[2] = ea + oa, d[3] = ea - oa, d[4] = eb + ob, d[5] = eb - ob;
  }
  // G^T
  static void weights_adjoint(const Vec (&m)[kIn], Vec (&g)[3]) {
    const Vec ea = m[2] + m[3], oa = m[2] - m[3], eb = m[4] + m[5], ob = m[4] - m[5];
    g[0] = m[0] + ea + eb, g[1] = a * oa + b * ob, g[2] = m[1] + a2 * ea + b2 * eb;
  }
};
// out(i, j, element) of M in M^T, where in(i, j) is an element of a K x K matrix and `by`
// multiplies a vector by M, which has N rows.
template <int K, int N, void (*by)(const Vec (&)[K], Vec (&)[N]), class In, class Out>
LOOKALIKE_INLINE void transform(const In& in, const Out& out) {
  Vec half[N][K];
  LOOKALIKE_UNROLL for (int j = 0; j < K; j++) {
    Vec from[K], to[N];
    LOOKALIKE_UNROLL for (int i = 0; i < K; i++) from[i] = in(i, j);
    by(from, to);
    LOOKALIKE_UNROLL for (int i = 0; i < N; i++) half[i][j] = to[i];
  }
  LOOKALIKE_UNROLL for (int i = 0; i < N; i++) {
    Vec to[N];
    by(half[i], to);
    LOOKALIKE_UNROLL for (int j = 0; j < N; j++) out(i, j, to[j]);
  }
}

// std::min would be one function for all instruction sets, and perhaps of the wrong one.
constexpr int64_t smaller_of(int64_t a, int64_t b) {
  return a < b ? a : b;
}

constexpr int64_t kAhead = 2;  // tiles: what a transform reads or writes so far ahead is fetched
constexpr int64_t kLine = 16;  // floats of a cache line

// The Size x Size pixels that begin at (top, left) of image n, which may reach outside of it.
template <int Size>
struct Patch {
  const WinogradSource& s;
  int64_t n, top, left;

  bool inside() const { return top >= 0 && left >= 0 && top + Size <= s.h && left + Size <= s.w; }
  int64_t first() const { return ((n * s.h + top) * s.w + left) * s.c; }

  void fetch_ahead(const float* array, int64_t c0, int64_t c1) const {
    for (int64_t i = 0; i < Size; i++)
      for (int64_t j = Size - kOut; j < Size; j++)
        for (int64_t k = c0; k < c1; k += kLine)
          prefetch(array, first() + (i * s.w + j + kAhead * kOut) * s.c + k);
  }

  // The gradients of channels [k, k + kLanes), `count` of which there are, behind 2x2 max pooling:
  // each in its place of four, zeros in the others. pixels[0][0] is the first place of the first
  // window that the patch sees; a patch of kOut begins with one.
  static constexpr int kPlaces = Size == kOut ? kOut : Size + 2;
  void unpool(int64_t k, int64_t count, Vec (&pixels)[kPlaces][kPlaces]) const {
    const int64_t first_row = first_window(top), first_column = first_window(left);
    for (int i = 0; i < kPlaces / 2; i++)
      for (int j = 0; j < kPlaces / 2; j++) {
        const int64_t row = first_row + i, column = first_column + j;
        Vec dz = {};
        IntVec place = {};
        if (row >= 0 && row < s.h / 2 && column >= 0 && column < s.w / 2) {
          const int64_t at = ((n * (s.h / 2) + row) * (s.w / 2) + column) * s.c + k;
          dz = load_some(s.x + at, count), place = load_some(s.argmax + at, count);
          if (s.y) dz = load_some(s.y + at, count) > 0 ? dz : s.slope * dz;
        }
        for (int p = 0; p < 4; p++) pixels[2 * i + p / 2][2 * j + p % 2] = place == p ? dz : Vec{};
      }
  }
  // The first row or column of pooling windows that the patch sees.
  static int64_t first_window(int64_t pixel) { return (pixel - (pixel < 0)) / 2; }
};

// Where the pixels of a patch lie that reaches outside of its image.
template <int Size>
struct Border {
  static constexpr float kZeros[kLanes] = {};
  static constexpr int64_t kOutside = -1;
  int64_t offset[Size][Size];

  explicit Border(const Patch<Size>& p) {
    for (int64_t i = 0; i < Size; i++)
      for (int64_t j = 0; j < Size; j++) {
        const int64_t row = p.top + i, column = p.left + j;
        const bool inside = row >= 0 && row < p.s.h && column >= 0 && column < p.s.w;
        offset[i][j] = inside ? p.first() + (i * p.s.w + j) * p.s.c : kOutside;
      }
  }
  const float* at(const float* array, int i, int j, int64_t k) const {
    return offset[i][j] == kOutside ? kZeros : array + offset[i][j] + k;
  }
};

// Calls out(k, in) for each vector of channels [c0, c1) of a patch: in(i, j) is that of pixel
// (i, j), zeros behind c1.
template <int Size, class Out>
LOOKALIKE_INLINE void for_channels(const Patch<Size>& patch, int64_t c0, int64_t c1,
                                   const Out& out) {
  const WinogradSource& s = patch.s;
  if (s.argmax) {
    Vec pixels[Patch<Size>::kPlaces][Patch<Size>::kPlaces];
    const int64_t below = patch.top - 2 * patch.first_window(patch.top);
    const int64_t right = patch.left - 2 * patch.first_window(patch.left);
    for (int64_t k = c0; k < c1; k += kLanes) {
      patch.unpool(k, c1 - k, pixels);
      out(k, [&](int i, int j) LOOKALIKE_INLINED { return pixels[below + i][right + j]; });
    }
    return;
  }
  patch.fetch_ahead(s.x, c0, c1);
  if (s.y) patch.fetch_ahead(s.y, c0, c1);
  // at(array, i, j, k) is where channel k of a pixel lies.
  const auto for_vectors = [&](int64_t begin, int64_t end, const auto& at) LOOKALIKE_INLINED {
    if (!s.y) {
      for (int64_t k = begin; k < end; k += kLanes)
        out(k, [&](int i, int j) LOOKALIKE_INLINED { return load(at(s.x, i, j, k)); });
      return;
    }
    for (int64_t k = begin; k < end; k += kLanes)
      out(k, [&](int i, int j) LOOKALIKE_INLINED {
        const Vec dy = load(at(s.x, i, j, k));
        return load(at(s.y, i, j, k)) > 0 ? dy : s.slope * dy;
      });
  };
  const int64_t whole = c0 + (c1 - c0) / kLanes * kLanes;
  if (patch.inside()) {
    const int64_t first = patch.first(), down = s.w * s.c, right = s.c;
    for_vectors(c0, whole, [&](const float* array, int i, int j, int64_t k) LOOKALIKE_INLINED {
      return array + first + i * down + j * right + k;
    });
    if (whole == c1) return;
    c0 = whole;
  }
  const Border<Size> border(patch);
  for_vectors(c0, whole, [&](const float* array, int i, int j, int64_t k) LOOKALIKE_INLINED {
    return border.at(array, i, j, k);
  });
  if (whole == c1) return;
  out(whole, [&](int i, int j) LOOKALIKE_INLINED {
    const Vec value = load_some(border.at(s.x, i, j, whole), c1 - whole);
    if (!s.y) return value;
    return load_some(border.at(s.y, i, j, whole), c1 - whole) > 0 ? value : s.slope * value;
  });
}

// Calls body(tile, image, row and column of its first output) for tiles [first, first + count).
template <class Body>
LOOKALIKE_INLINE void for_grid(const WinogradGrid& grid, int64_t first, int64_t count,
                               const Body& body) {
  if (count == 0) return;
  const int64_t per_image = grid.rows * grid.columns;
  int64_t n = first / per_image, row = first % per_image / grid.columns,
          column = first % grid.columns;
  for (int64_t t = 0; t < count; t++) {
    body(t, n, row * kOut, column * kOut);
    if (++column < grid.columns) continue;
    column = 0;
    if (++row < grid.rows) continue;
    row = 0, n++;
  }
}

void transform_inputs(const WinogradSource& source, const WinogradGrid& grid, int64_t first,
                      int64_t count, int64_t c0, int64_t c1, float* v, int64_t v_step,
                      int64_t channels) {
  for_grid(grid, first, count, [&](int64_t t, int64_t n, int64_t row, int64_t column) {
    const Patch<kIn> patch{source, n, row - grid.top, column - grid.left};
    for_channels(patch, c0, c1, [&](int64_t k, const auto& in) LOOKALIKE_INLINED {
      float* to = v + t * v_step + k - c0;
      transform<kIn, kIn, Winograd::inputs>(in, [&](int i, int j, Vec value) LOOKALIKE_INLINED {
        store(to + (i * kIn + j) * channels, value);
      });
    });
  });
}

void transform_gradients(const WinogradSource& source, const WinogradGrid& grid, int64_t first,
                         int64_t count, int64_t c0, int64_t c1, float* d, int64_t d_step,
                         int64_t channels, float* bias) {
  for_grid(grid, first, count, [&](int64_t t, int64_t n, int64_t row, int64_t column) {
    const Patch<kOut> patch{source, n, row, column};
    for_channels(patch, c0, c1, [&](int64_t k, const auto& in) LOOKALIKE_INLINED {
      Vec sum = bias ? load(bias + k - c0) : Vec{};
      float* to = d + t * d_step + k - c0;
      transform<kOut, kIn, Winograd::gradients>(
          [&](int i, int j) LOOKALIKE_INLINED {
            const Vec value = in(i, j);
            sum += value;
            return value;
          },
          [&](int i, int j, Vec value)
              LOOKALIKE_INLINED { store(to + (i * kIn + j) * channels, value); });
      if (bias) store(bias + k - c0, sum);
    });
  });
}

// 4x4 outputs, or 2x2 after pooling, of which `rows` and `columns` count: `count` channels.
template <class F>
LOOKALIKE_INLINE void write_tile(const WinogradTarget& t, const Vec (&y)[kOut][kOut], int64_t at,
                                 int64_t rows, int64_t columns, int64_t count, const F& f) {
  float* to = t.y + at;
  if (t.argmax) {
    LOOKALIKE_UNROLL for (int i = 0; i < 2; i++) LOOKALIKE_UNROLL for (int j = 0; j < 2; j++) {
      Vec value = y[2 * i][2 * j];
      IntVec place = {};
      LOOKALIKE_UNROLL for (int p = 1; p < 4; p++) {
        const Vec other = y[2 * i + p / 2][2 * j + p % 2];
        const IntVec wins = other > value;
        value = wins ? other : value;
        place = wins ? IntVec{} + p : place;
      }
      if (2 * i >= rows || 2 * j >= columns) continue;
      const int64_t pixel = (i * (t.w / 2) + j) * t.step;
      store_some(to + pixel, f(value), count);
      if (count >= kLanes) {
        narrow(place, t.argmax + at + pixel);
      } else {
        for (int k = 0; k < count; k++) t.argmax[at + pixel + k] = static_cast<uint8_t>(place[k]);
      }
    }
    return;
  }
  const bool whole = rows >= kOut && columns >= kOut && count >= kLanes;
  LOOKALIKE_UNROLL for (int i = 0; i < kOut; i++) LOOKALIKE_UNROLL for (int j = 0; j < kOut; j++) {
    const int64_t pixel = (i * t.w + j) * t.step;
    if (!whole && (i >= rows || j >= columns)) continue;
    const int64_t some = whole ? kLanes : count;
    Vec value = y[i][j];
    if (t.plus) value += load_some(t.plus + at + pixel, some);
    store_some(to + pixel, f(value), some);
  }
}

void transform_outputs(const WinogradTarget& target, const WinogradGrid& grid, int64_t first,
                       int64_t count, int64_t k0, const float* m, int64_t m_step) {
  const int64_t pool = target.argmax ? 2 : 1, channels = smaller_of(kBlock, target.k - k0);
  with_leaky(target.slope, target.limit, [&](const auto& f) LOOKALIKE_INLINED {
    for_grid(grid, first, count, [&](int64_t t, int64_t n, int64_t row, int64_t column) {
      const int64_t at =
          ((n * (target.h / pool) + row / pool) * (target.w / pool) + column / pool) * target.step +
          k0;
      for (int i = 0; i < kOut / pool; i++)
        for (int j = 0; j < kOut / pool; j++) {
          const int64_t ahead =
              at + (i * (target.w / pool) + j + kAhead * kOut / pool) * target.step;
          for (int64_t k = 0; k < channels; k += kLine) prefetch<1>(target.y, ahead + k);
        }
      for (int64_t k = 0; k < channels; k += kLanes) {
        const float* from = m + t * m_step + k;
        const Vec bias = target.bias ? load(target.bias + k0 + k) : Vec{};
        Vec y[kOut][kOut];
        transform<kIn, kOut, Winograd::outputs>(
            [&](int i, int j) LOOKALIKE_INLINED { return load(from + (i * kIn + j) * kBlock); },
            [&](int i, int j, Vec value) LOOKALIKE_INLINED { y[i][j] = value + bias; });
        write_tile(target, y, at + k, target.h - row, target.w - column, channels - k, f);
      }
    });
  });
}

// out[T][kBlock] (+)= v[T][depth] u[depth][kBlock]; what lies `ahead` of u is fetched, for the next
// frequency.
template <int T>
void multiply_tile(const float* v, int64_t v_step, int64_t depth, const float* u, int64_t ahead,
                   bool add, float* out, int64_t out_step) {
  Vec sums[T][2] = {};
  if (add) {
    LOOKALIKE_UNROLL for (int i = 0; i < T; i++) {
      sums[i][0] = load(out + i * out_step), sums[i][1] = load(out + i * out_step + kLanes);
    }
  }
  Pixels<const float, 1, T> from(v, 0, v_step);
  for (int64_t j = 0; j < depth; j++, u += kBlock, from.advance(1)) {
    prefetch<0, 2>(u, ahead), prefetch<0, 2>(u, ahead + kLanes);
    const Vec u0 = load(u), u1 = load(u + kLanes);
    LOOKALIKE_UNROLL for (int i = 0; i < T; i++) {
      const float x = *from.at(i);
      sums[i][0] += x * u0, sums[i][1] += x * u1;
    }
  }
  LOOKALIKE_UNROLL for (int i = 0; i < T; i++) {
    store(out + i * out_step, sums[i][0]), store(out + i * out_step + kLanes, sums[i][1]);
  }
}

void multiply(int64_t count, const float* v, int64_t v_step, int64_t channels, int64_t depth,
              const float* u, int64_t u_step, bool add, float* m, int64_t m_step) {
  for (int64_t f = 0; f < kFrequencies; f++, v += channels, u += u_step, m += kBlock)
    for_tiles(count, [&]<int T>(int64_t t) {
      multiply_tile<T>(v + t * v_step, v_step, depth, u, u_step, add, m + t * m_step, m_step);
    });
}

// du[T][kBlock] (+)= sum over tiles of v[tile][T] d[tile][kBlock]
template <int T>
void multiply_gradients_tile(int64_t tiles, const float* v, int64_t v_step, const float* d,
                             int64_t d_step, bool add, float* du) {
  Vec sums[T][2] = {};
  LOOKALIKE_UNROLL for (int i = 0; i < T; i++) {
    if (add) sums[i][0] = load(du + i * kBlock), sums[i][1] = load(du + i * kBlock + kLanes);
    if (!add) prefetch<1>(du, i * kBlock), prefetch<1>(du, i * kBlock + kLanes);
  }
  for (int64_t t = 0; t < tiles; t++, v += v_step, d += d_step) {
    const Vec d0 = load(d), d1 = load(d + kLanes);
    LOOKALIKE_UNROLL for (int i = 0; i < T; i++) sums[i][0] += v[i] * d0, sums[i][1] += v[i] * d1;
  }
  LOOKALIKE_UNROLL for (int i = 0; i < T; i++) {
    store(du + i * kBlock, sums[i][0]), store(du + i * kBlock + kLanes, sums[i][1]);
  }
}

void multiply_gradients(int64_t count, const float* v, int64_t v_step, int64_t v_channels,
                        int64_t rows, const float* d, int64_t d_step, int64_t d_channels, bool add,
                        float* du, int64_t du_step) {
  for (int64_t f = 0; f < kFrequencies; f++, v += v_channels, d += d_channels, du += du_step)
    for_tiles(rows, [&]<int T>(int64_t i) {
      multiply_gradients_tile<T>(count, v + i, v_step, d, d_step, add, du + i * kBlock);
    });
}

void transform_weights(const float* w, int64_t c, int64_t k, bool turned, int64_t k0, int64_t c0,
                       int64_t c1, float* u, int64_t u_step) {
  for (; c0 < c1; c0 += kLanes, u += kLanes * kBlock)
    for (int64_t half = 0; half < kBlock; half += kLanes) {
      const int64_t outputs = k - k0 - half, inputs = smaller_of(kLanes, c1 - c0);
      Vec taps[9][kLanes] = {};  // [tap][input channel] of kLanes output channels
      for (int tap = 0; tap < 9 && outputs > 0; tap++) {
        if (turned) {
          for (int l = 0; l < inputs; l++)
            taps[tap][l] = load_some(w + ((c0 + l) * 9 + 8 - tap) * k + k0 + half, outputs);
          continue;
        }
        for (int l = 0; l < kLanes && l < outputs; l++)
          taps[tap][l] = load_some(w + ((k0 + half + l) * 9 + tap) * c + c0, inputs);
        transpose(taps[tap]);
      }
      for (int l = 0; l < inputs; l++)
        transform<3, kIn, Winograd::weights>(
            [&](int i, int j) LOOKALIKE_INLINED { return taps[i * 3 + j][l]; },
            [&](int i, int j, Vec value) LOOKALIKE_INLINED {
              store(u + (i * kIn + j) * u_step + l * kBlock + half, value);
            });
    }
}

void finish_weights(const float* du, int64_t du_step, int64_t groups, int64_t group, int64_t c,
                    int64_t k, int64_t k0, int64_t c0, int64_t c1, bool add, float* dw) {
  for (; c0 < c1; c0 += kLanes, du += kLanes * kBlock)
    for (int64_t half = 0; half < kBlock && k0 + half < k; half += kLanes) {
      const int64_t outputs = smaller_of(kLanes, k - k0 - half),
                    inputs = smaller_of(kLanes, c1 - c0);
      Vec taps[9][kLanes] = {};
      for (int l = 0; l < inputs; l++)
        transform<kIn, 3, Winograd::weights_adjoint>(
            [&](int i, int j) LOOKALIKE_INLINED {
              const float* at = du + (i * kIn + j) * du_step + l * kBlock + half;
              Vec sum = load(at);
              for (int64_t g = 1; g < groups; g++) sum += load(at + g * group);
              return sum;
            },
            [&](int i, int j, Vec value) LOOKALIKE_INLINED { taps[i * 3 + j][l] = value; });
      for (int tap = 0; tap < 9; tap++) {
        transpose(taps[tap]);
        for (int i = 0; i < outputs; i++) {
          float* to = dw + ((k0 + half + i) * 9 + tap) * c + c0;
          store_some(to, add ? load_some(to, inputs) + taps[tap][i] : taps[tap][i], inputs);
        }
      }
    }
}

}  // namespace

namespace LOOKALIKE_ISA {
const WinogradTiles kWinogradTiles{kBlock,
                                   kLanes,
                                   kTile,
                                   transform_weights,
                                   transform_inputs,
                                   transform_gradients,
                                   multiply,
                                   multiply_gradients,
                                   transform_outputs,
                                   finish_weights};
}
}  // namespace lookalike::cpu
