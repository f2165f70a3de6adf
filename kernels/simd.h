// Vectors for the files that are compiled once for each instruction set (*_tile.cpp): kLanes floats, and a register
// tile of kTile broadcast values times two vectors, whose 2 * kTile sums fill the register file while leaving room for
// the two vectors and a broadcast. Everything here has internal linkage, so that no two instruction sets share a
// symbol.
#pragma once

#include <cstdint>

namespace lookalike::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kTile = 14;
#elif defined(__AVX2__)
constexpr int kLanes = 8, kTile = 6;
#else
constexpr int kLanes = 4, kTile = 6;
#endif
// Columns of a tile.
constexpr int kBlock = 2 * kLanes;

typedef float Vec __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));
typedef int32_t IntVec __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));
typedef uint8_t ByteVec __attribute__((vector_size(kLanes), aligned(1), may_alias));

inline Vec load(const float* p) {
  return *reinterpret_cast<const Vec*>(p);
}
inline void store(float* p, Vec v) {
  *reinterpret_cast<Vec*>(p) = v;
}

// The first n elements, and zeros behind them; all of them when n is kLanes or more.
inline void store_some(float* to, Vec v, int64_t n) {
  if (n >= kLanes) return store(to, v);
  for (int i = 0; i < n; i++) to[i] = v[i];
}
inline Vec load_some(const float* from, int64_t n) {
  if (n >= kLanes) return load(from);
  Vec v = {};
  for (int i = 0; i < n; i++) v[i] = from[i];
  return v;
}
inline IntVec load_some(const uint8_t* from, int64_t n) {
  ByteVec v = {};
  if (n >= kLanes) return __builtin_convertvector(*reinterpret_cast<const ByteVec*>(from), IntVec);
  for (int i = 0; i < n; i++) v[i] = from[i];
  return __builtin_convertvector(v, IntVec);
}

// One step of a transposition: exchanges blocks of D x D across the diagonal of each 2D x 2D block.
template <int D>
inline void exchange(Vec (&rows)[kLanes]) {
  IntVec low, high;
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; i++) low[i] = i & D ? kLanes + i - D : i, high[i] = low[i] + D;
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; i++) {
    if (i & D) continue;
    const Vec a = rows[i], b = rows[i + D];
    rows[i] = __builtin_shuffle(a, b, low), rows[i + D] = __builtin_shuffle(a, b, high);
  }
}
// to[j * to_row + i] = from[i * from_row + j] for i, j < kLanes.
inline void transpose(const float* from, int64_t from_row, float* to, int64_t to_row) {
  Vec rows[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; i++) rows[i] = load(from + i * from_row);
  exchange<1>(rows);
  exchange<2>(rows);
  if constexpr (kLanes > 4) exchange<4>(rows);
  if constexpr (kLanes > 8) exchange<8>(rows);
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; i++) store(to + i * to_row, rows[i]);
}

// Calls body.template operator()<N>() for the run-time n in 1..N.
template <int N, class Body>
inline void with_constant(int64_t n, const Body& body) {
  if (n >= N) return body.template operator()<N>();
  if constexpr (N > 1) with_constant<N - 1>(n, body);
}

// Splits n into the fewest pieces of at most kTile, all about equal: body.template operator()<T>(first).
template <class Body>
inline void for_tiles(int64_t n, const Body& body) {
  const int64_t tiles = (n + kTile - 1) / kTile;
  for (int64_t t = 0; t < tiles; t++) {
    const int64_t first = n * t / tiles, end = n * (t + 1) / tiles;
    with_constant<kTile>(end - first, [&]<int T>() { body.template operator()<T>(first); });
  }
}

}  // namespace
}  // namespace lookalike::cpu
