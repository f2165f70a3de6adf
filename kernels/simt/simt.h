// The CUDA language as far as our kernels use it, for a C++ compiler: what a .cu file sees instead of <cuda_runtime.h> when it is
// built for the emulator. docs/emulator.md explains the whole.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <source_location>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct uint3 {
  unsigned x, y, z;
};

// Of the thread that runs.
inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;

#define LOOKALIKE_VECTOR2(T, name)     \
  struct alignas(2 * sizeof(T)) name { \
    T x, y;                            \
  };                                   \
  inline name make_##name(T x, T y) {  \
    return {x, y};                     \
  }
#define LOOKALIKE_VECTOR4(T, name)              \
  struct alignas(16) name {                     \
    T x, y, z, w;                               \
  };                                            \
  inline name make_##name(T x, T y, T z, T w) { \
    return {x, y, z, w};                        \
  }
LOOKALIKE_VECTOR2(float, float2)
LOOKALIKE_VECTOR2(int, int2)
LOOKALIKE_VECTOR2(unsigned, uint2)
LOOKALIKE_VECTOR4(float, float4)
LOOKALIKE_VECTOR4(int, int4)
LOOKALIKE_VECTOR4(unsigned, uint4)
#undef LOOKALIKE_VECTOR2
#undef LOOKALIKE_VECTOR4

using std::isfinite;
using std::isnan;
template <class T>
constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
constexpr T max(T a, T b) {
  return a < b ? b : a;
}
inline float __expf(float x) {
  return expf(x);
}
inline float __logf(float x) {
  return logf(x);
}
inline float rsqrtf(float x) {
  return 1 / sqrtf(x);
}
inline float __fdividef(float a, float b) {
  return a / b;
}
inline int __float_as_int(float x) {
  return std::bit_cast<int>(x);
}
inline float __int_as_float(int x) {
  return std::bit_cast<float>(x);
}
inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __clz(int x) {
  return std::countl_zero(static_cast<unsigned>(x));
}
inline int __ffs(int x) {
  return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1;
}
template <class T>
inline T __ldg(const T* p) {
  return *p;
}
inline void __threadfence() {}

// Functions that the checker does not see: they do for the emulator what hardware does.
#define LOOKALIKE_UNSEEN __attribute__((noinline, no_sanitize_thread))

namespace lookalike::gpu {
struct Launch;
}

namespace lookalike::simt {

using Where = std::source_location;

// Runs a kernel: thread(parameters) once for each thread of the grid. It may read the `bytes` of its parameters. Throws
// gpu::Failure for whatever the checks find.
void run(const gpu::Launch& how, void (*thread)(const void*), const void* parameters, size_t bytes);

// How many threads of the block said yes.
int barrier(const Where& where, bool yes = false);
// The array that belongs to `key`, the same for all threads of a block.
void* shared_array(const void* key, size_t bytes, size_t alignment, const char* name);
void* dynamic_shared();

// Lanes of a warp that meet: each brings `bytes` of `data`; when all of `mask` are there, `meet` sees the data of all (null for
// lanes that are not in the mask) and may change it, and everyone takes his own back.
using Lanes = void* [32];
void meet(unsigned mask, const char* what, const Where& where, void* data, size_t bytes, void (*meet)(Lanes& lanes));
int lane();
// A shuffle's source lane is not in its mask.
[[noreturn]] void bad_source(int lane);
// An atomic's operand: checked for being in a buffer, and for races with what is no atomic.
void touch_atomic(const void* address, size_t bytes);

void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Where where = Where::current());
void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Where where = Where::current());
void ldmatrix_x4(uint32_t (&r)[4], const void* shared_row, bool transpose, Where where = Where::current());
void cp_async(void* shared, const void* global, int bytes, bool valid);
void cp_async_commit();
void cp_async_wait(int pending);

template <class T>
struct Shuffled {
  T value;
  int source;
  T result;
};
template <class T>
LOOKALIKE_UNSEEN void shuffle(Lanes& lanes) {
  for (void* lane : lanes) {
    if (!lane) continue;
    auto& mine = *static_cast<Shuffled<T>*>(lane);
    if (!lanes[mine.source]) bad_source(mine.source);
    mine.result = static_cast<Shuffled<T>*>(lanes[mine.source])->value;
  }
}
template <class T>
T shuffle_from(unsigned mask, T value, int source, const char* what, const Where& where) {
  Shuffled<T> mine{value, source, value};
  meet(mask, what, where, &mine, sizeof(mine), shuffle<T>);
  return mine.result;
}

LOOKALIKE_UNSEEN inline void vote(Lanes& lanes) {
  unsigned votes = 0;
  for (int i = 0; i < 32; i++) {
    if (lanes[i] && *static_cast<unsigned*>(lanes[i])) votes |= 1u << i;
  }
  for (void* lane : lanes) {
    if (lane) *static_cast<unsigned*>(lane) = votes;
  }
}

}  // namespace lookalike::simt

inline void __syncthreads(std::source_location where = std::source_location::current()) {
  lookalike::simt::barrier(where);
}
inline int __syncthreads_count(int yes, std::source_location where = std::source_location::current()) {
  return lookalike::simt::barrier(where, yes != 0);
}
inline int __syncthreads_or(int yes, std::source_location where = std::source_location::current()) {
  return lookalike::simt::barrier(where, yes != 0) != 0;
}
inline int __syncthreads_and(int yes, std::source_location where = std::source_location::current()) {
  return lookalike::simt::barrier(where, yes == 0) == 0;
}
inline void __syncwarp(unsigned mask = ~0u, std::source_location where = std::source_location::current()) {
  lookalike::simt::meet(mask, "__syncwarp", where, nullptr, 0, nullptr);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int = 32,
              std::source_location where = std::source_location::current()) {
  return lookalike::simt::shuffle_from(mask, value, source & 31, "__shfl_sync", where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int distance, int = 32,
                  std::source_location where = std::source_location::current()) {
  return lookalike::simt::shuffle_from(mask, value, lookalike::simt::lane() ^ distance, "__shfl_xor_sync", where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int = 32,
                   std::source_location where = std::source_location::current()) {
  const int lane = lookalike::simt::lane(), source = lane + static_cast<int>(distance);
  return lookalike::simt::shuffle_from(mask, value, source < 32 ? source : lane, "__shfl_down_sync", where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int = 32,
                 std::source_location where = std::source_location::current()) {
  const int lane = lookalike::simt::lane(), source = lane - static_cast<int>(distance);
  return lookalike::simt::shuffle_from(mask, value, source >= 0 ? source : lane, "__shfl_up_sync", where);
}
inline unsigned __ballot_sync(unsigned mask, int yes, std::source_location where = std::source_location::current()) {
  unsigned votes = yes != 0;
  lookalike::simt::meet(mask, "__ballot_sync", where, &votes, sizeof(votes), lookalike::simt::vote);
  return votes;
}
inline int __any_sync(unsigned mask, int yes, std::source_location where = std::source_location::current()) {
  return __ballot_sync(mask, yes, where) != 0;
}
inline int __all_sync(unsigned mask, int yes, std::source_location where = std::source_location::current()) {
  return __ballot_sync(mask, yes, where) == mask;
}

template <class T>
LOOKALIKE_UNSEEN T atomicAdd(T* to, T value) {
  lookalike::simt::touch_atomic(to, sizeof(T));
  const T before = *to;
  *to = before + value;
  return before;
}
template <class T>
LOOKALIKE_UNSEEN T atomicMax(T* to, T value) {
  lookalike::simt::touch_atomic(to, sizeof(T));
  const T before = *to;
  *to = max(before, value);
  return before;
}
template <class T>
LOOKALIKE_UNSEEN T atomicMin(T* to, T value) {
  lookalike::simt::touch_atomic(to, sizeof(T));
  const T before = *to;
  *to = min(before, value);
  return before;
}
template <class T>
LOOKALIKE_UNSEEN T atomicExch(T* to, T value) {
  lookalike::simt::touch_atomic(to, sizeof(T));
  const T before = *to;
  *to = value;
  return before;
}
template <class T>
LOOKALIKE_UNSEEN T atomicCAS(T* to, T expected, T value) {
  lookalike::simt::touch_atomic(to, sizeof(T));
  const T before = *to;
  if (before == expected) *to = value;
  return before;
}

#define LOOKALIKE_SHARED(type, name, dimensions)    \
  using name##_array = type dimensions;             \
  static const char name##_key = 0;                 \
  name##_array& name = *static_cast<name##_array*>( \
      ::lookalike::simt::shared_array(&name##_key, sizeof(name##_array), alignof(name##_array), #name))
#define LOOKALIKE_DYNAMIC_SHARED(type, name) type* const name = static_cast<type*>(::lookalike::simt::dynamic_shared())
