// Vectors for the files that are compiled once for each instruction set (*_tile.cpp): kLanes floats, and a register
// tile of kTile broadcast values times two vectors, whose 2 * kTile sums fill the register file while leaving room for
// the two vectors and a broadcast. Everything here has internal linkage, so that no two instruction sets share a
// symbol.
#pragma once

#include <cstdint>
#include <limits>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

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

// Fetches the line of base[offset], which may lie outside of the array.
template <int kToWrite = 0, int kLocality = 3>
inline void prefetch(const float* base, int64_t offset) {
  const auto bytes = static_cast<uintptr_t>(offset) * sizeof(float);
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(base) + bytes),
                     kToWrite, kLocality);
}

// For GCC 12's false warning of the intrinsics without a mask.
#if defined(__AVX512F__)
constexpr __mmask16 kAll = 0xffff;
#endif

// a > b ? a : b and a < b ? a : b, in one instruction: b where one of them is NaN.
inline Vec larger(Vec a, Vec b) {
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_max_ps(kAll, (__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (Vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return a > b ? a : b;
#endif
}
inline Vec smaller(Vec a, Vec b) {
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_min_ps(kAll, (__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (Vec)_mm256_min_ps((__m256)a, (__m256)b);
#else
  return a < b ? a : b;
#endif
}
// Calls body(f), f the leaky ReLU of that slope, at most `limit`: ReLU, and nothing at all, at what they cost. NaN stays NaN.
template <class Body>
inline void with_leaky(float slope, float limit, const Body& body) {
  const Vec most = Vec{} + limit;
  if (slope == 1 && limit == std::numeric_limits<float>::infinity())
    body([](Vec x) { return x; });
  else if (slope == 0)
    body([most](Vec x) { return smaller(most, larger(Vec{}, x)); });
  else
    body([most, slope](Vec x) { return smaller(most, x > 0 ? x : slope * x); });
}

// Between bytes and lanes: of a plain conversion GCC 12 makes scalar code.
inline IntVec widen(const uint8_t* from) {
#if defined(__AVX512F__)
  return (IntVec)_mm512_maskz_cvtepu8_epi32(kAll, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#elif defined(__AVX2__)
  return (IntVec)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
#else
  return __builtin_convertvector(*reinterpret_cast<const ByteVec*>(from), IntVec);
#endif
}
inline void narrow(IntVec v, uint8_t* to) {
#if defined(__AVX512F__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_maskz_cvtepi32_epi8(kAll, (__m512i)v));
#else
  *reinterpret_cast<ByteVec*>(to) = __builtin_convertvector(v, ByteVec);
#endif
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
  if (n >= kLanes) return widen(from);
  IntVec v = {};
  for (int i = 0; i < n; i++) v[i] = from[i];
  return v;
}

// One step of a transposition: exchanges blocks of D x D across the diagonal of each 2D x 2D block.
template <int D>
inline void exchange(Vec (&rows)[kLanes]) {
#ifdef __clang__  // It lacks __builtin_shuffle, and builds what is fuzzed, not what is fast.
  for (int i = 0; i < kLanes; i++)
    for (int j = 0; j < kLanes; j++) {
      if ((i & D) || !(j & D)) continue;
      const float above = rows[i][j];
      rows[i][j] = rows[i + D][j - D], rows[i + D][j - D] = above;
    }
#else
  IntVec low, high;
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; i++) low[i] = i & D ? kLanes + i - D : i, high[i] = low[i] + D;
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; i++) {
    if (i & D) continue;
    const Vec a = rows[i], b = rows[i + D];
    rows[i] = __builtin_shuffle(a, b, low), rows[i + D] = __builtin_shuffle(a, b, high);
  }
#endif
}
inline void transpose(Vec (&rows)[kLanes]) {
  exchange<1>(rows);
  exchange<2>(rows);
  if constexpr (kLanes > 4) exchange<4>(rows);
  if constexpr (kLanes > 8) exchange<8>(rows);
}

// Writes the lanes where value is not zero, in their order, to `indices` and `values`, which have room for kLanes.
// Returns how many.
inline int64_t keep_nonzero(IntVec index, Vec value, int32_t* indices, float* values) {
#if defined(__AVX512F__)
  const __mmask16 keep = _mm512_cmp_ps_mask((__m512)value, _mm512_setzero_ps(), _CMP_NEQ_UQ);
  _mm512_storeu_si512(indices, _mm512_maskz_compress_epi32(keep, (__m512i)index));
  _mm512_storeu_ps(values, _mm512_maskz_compress_ps(keep, (__m512)value));
  return __builtin_popcount(keep);
#else
  int64_t n = 0;
  for (int i = 0; i < kLanes; i++) {
    // Written in any case, kept where it is not zero: no branch to guess.
    indices[n] = index[i], values[n] = value[i];
    n += value[i] != 0;
  }
  return n;
#endif
}

// The pixels of a register tile in H rows `down` apart, T in a row at steps of `step` floats,
// addressed from every fourth: as many addresses as the tile has pixels do not fit in the registers.
template <class Float, int H, int T>
struct Pixels {
  static constexpr int kGroup = 4, kGroups = (T + kGroup - 1) / kGroup;
  Float* bases[H * kGroups];
  int64_t step;

  Pixels(Float* first, int64_t down, int64_t step) : step(step) {
    for (int h = 0; h < H; h++)
      for (int g = 0; g < kGroups; g++) bases[h * kGroups + g] = first + h * down + g * kGroup * step;
  }
  Float* at(int i) const { return bases[i / T * kGroups + i % T / kGroup] + i % T % kGroup * step; }
  void advance(int64_t floats) {
#pragma GCC unroll 8
    for (int b = 0; b < H * kGroups; b++) {
      bases[b] += floats;
      asm("" : "+r"(bases[b]));  // or the compiler keeps all of the addresses, most of them on the stack
    }
  }
};

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
