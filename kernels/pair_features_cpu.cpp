#include <cmath>

#include "kernels/pair_features.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {
namespace {

// body(row) for each of n rows of d elements, compiled for this processor.
template <class Body>
void for_rows(int64_t n, int64_t d, const Body& body) {
  parallel_for(n, 16384 / (d + 1) + 1, [=](int64_t begin, int64_t end) {
    simd([=] {
      for (int64_t row = begin; row < end; row++) body(row);
    });
  });
}

}  // namespace

template <class T>
void pair_features_forward(PairFeatures kind, const T* a, const T* b, int64_t n, int64_t d, T* y) {
  const int64_t width = kind == PairFeatures::both ? 2 * d : d;
  for_rows(n, d, [=](int64_t row) {
    const T *left = a + row * d, *right = b + row * d;
    T *difference = y + row * width, *product = difference + d;
#pragma GCC ivdep
    for (int64_t i = 0; i < d; i++) difference[i] = std::abs(left[i] - right[i]);
    if (kind == PairFeatures::difference) return;
#pragma GCC ivdep
    for (int64_t i = 0; i < d; i++) product[i] = left[i] * right[i];
  });
}

template <class T>
void pair_features_backward(PairFeatures kind, const T* a, const T* b, const T* dy, int64_t n, int64_t d, T* da,
                            T* db) {
  const int64_t width = kind == PairFeatures::both ? 2 * d : d;
  for_rows(n, d, [=](int64_t row) {
    const T *left = a + row * d, *right = b + row * d, *difference = dy + row * width, *product = difference + d;
    T *dleft = da + row * d, *dright = db + row * d;
    const auto slope = [=](int64_t i) {
      return left[i] > right[i] ? difference[i] : left[i] < right[i] ? -difference[i] : T(0);
    };
    if (kind == PairFeatures::difference) {
#pragma GCC ivdep
      for (int64_t i = 0; i < d; i++) dleft[i] = slope(i), dright[i] = -slope(i);
    } else {
#pragma GCC ivdep
      for (int64_t i = 0; i < d; i++) {
        dleft[i] = slope(i) + right[i] * product[i];
        dright[i] = left[i] * product[i] - slope(i);
      }
    }
  });
}

#define LOOKALIKE_INSTANTIATE(T)                                                               \
  template void pair_features_forward(PairFeatures, const T*, const T*, int64_t, int64_t, T*); \
  template void pair_features_backward(PairFeatures, const T*, const T*, const T*, int64_t, int64_t, T*, T*);
LOOKALIKE_INSTANTIATE(float)
LOOKALIKE_INSTANTIATE(double)
#undef LOOKALIKE_INSTANTIATE

}  // namespace lookalike::cpu
