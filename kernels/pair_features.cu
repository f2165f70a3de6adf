// Bound by memory: forward reads a and b and writes y, backward reads a, b and dy and writes da and db.
#include "kernels/gpu/elementwise.h"
#include "kernels/gpu/fast_divide.h"
#include "kernels/pair_features.h"

namespace lookalike::cuda {
namespace {

// An element's difference in y; its product stands d behind it. A run lies in one row.
template <bool kBoth>
struct Places {
  int d;
  gpu::FastDivide by_d;
  __device__ int64_t difference(int64_t i) const {
    return kBoth ? i + int64_t{by_d.divide(static_cast<int>(i))} * d : i;
  }
};

template <class T, bool kBoth>
struct Forward {
  Places<kBoth> places;
  const T *a, *b;
  T* y;
  template <int kWidth>
  __device__ void run(int64_t i) const {
    const auto left = gpu::load<kWidth>(a + i), right = gpu::load<kWidth>(b + i);
    gpu::Pack<T, kWidth> difference, product;
#pragma unroll
    for (int j = 0; j < kWidth; j++) {
      const float l = to_float(left.x[j]), r = to_float(right.x[j]);
      difference.x[j] = from_float<T>(fabsf(l - r)), product.x[j] = from_float<T>(l * r);
    }
    T* const to = y + places.difference(i);
    gpu::store(to, difference);
    if constexpr (kBoth) gpu::store(to + places.d, product);
  }
};

template <class T, bool kBoth>
struct Backward {
  Places<kBoth> places;
  const T *a, *b, *dy;
  T *da, *db;
  template <int kWidth>
  __device__ void run(int64_t i) const {
    const auto left = gpu::load<kWidth>(a + i), right = gpu::load<kWidth>(b + i);
    const T* const from = dy + places.difference(i);
    const auto difference = gpu::load<kWidth>(from);
    gpu::Pack<T, kWidth> product{}, dleft, dright;
    if constexpr (kBoth) product = gpu::load<kWidth>(from + places.d);
#pragma unroll
    for (int j = 0; j < kWidth; j++) {
      const float l = to_float(left.x[j]), r = to_float(right.x[j]), g = to_float(difference.x[j]);
      const float slope = l > r ? g : l < r ? -g : 0, p = kBoth ? to_float(product.x[j]) : 0;
      dleft.x[j] = from_float<T>(slope + r * p), dright.x[j] = from_float<T>(l * p - slope);
    }
    gpu::store(da + i, dleft), gpu::store(db + i, dright);
  }
};

}  // namespace

template <class T>
void pair_features_forward(PairFeatures kind, const T* a, const T* b, int64_t n, int64_t d, T* y, gpu::Stream stream) {
  constexpr int kWidth = 16 / sizeof(T);
  const bool wide = d % kWidth == 0 && gpu::aligned_to_16(a, b, y);
  const auto run = [&](auto body) { gpu::for_runs<kWidth>("pair_features_forward", n * d, wide, stream, body); };
  if (kind == PairFeatures::both)
    run(Forward<T, true>{{static_cast<int>(d), gpu::FastDivide(d)}, a, b, y});
  else
    run(Forward<T, false>{{}, a, b, y});
}

template <class T>
void pair_features_backward(PairFeatures kind, const T* a, const T* b, const T* dy, int64_t n, int64_t d, T* da, T* db,
                            gpu::Stream stream) {
  constexpr int kWidth = 16 / sizeof(T);
  const bool wide = d % kWidth == 0 && gpu::aligned_to_16(a, b, dy, da, db);
  const auto run = [&](auto body) { gpu::for_runs<kWidth>("pair_features_backward", n * d, wide, stream, body); };
  if (kind == PairFeatures::both)
    run(Backward<T, true>{{static_cast<int>(d), gpu::FastDivide(d)}, a, b, dy, da, db});
  else
    run(Backward<T, false>{{}, a, b, dy, da, db});
}

#define LOOKALIKE_INSTANTIATE(T)                                                                             \
  template void pair_features_forward(PairFeatures, const T*, const T*, int64_t, int64_t, T*, gpu::Stream);  \
  template void pair_features_backward(PairFeatures, const T*, const T*, const T*, int64_t, int64_t, T*, T*, \
                                       gpu::Stream);
LOOKALIKE_INSTANTIATE(float)
LOOKALIKE_INSTANTIATE(bf16)
#undef LOOKALIKE_INSTANTIATE

}  // namespace lookalike::cuda
