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
