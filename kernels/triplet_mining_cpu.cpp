#include <limits>

#include "kernels/parallel.h"
#include "kernels/triplet.h"

namespace lookalike::cpu {
namespace {
template <class T>
constexpr T kInfinity = std::numeric_limits<T>::infinity();
}

template <class T>
int64_t mining_workspace(int64_t, int64_t) {
  return 0;
}
template <class T>
void mining_prepare(const T*, int64_t, int64_t, T*) {}

template <class T>
void mine_batch_hard(const T* e, int64_t m, int64_t d, const RowClasses& classes, const T*, Triplet* triplets,
                     int64_t count) {
  parallel_for(count, 1, [=](int64_t begin, int64_t end) {
    simd([=] {
      for (int64_t t = begin; t < end; t++) {
        Triplet& triplet = triplets[t];
        T farthest = -1, nearest = kInfinity<T>;
        for (int32_t j = 0; j < m; j++) {
          if (j == triplet.anchor) continue;
          const T distance = squared_distance(e + triplet.anchor * d, e + j * d, d);
          if (classes.of_row[j] == classes.of_row[triplet.anchor]) {
            if (distance > farthest) farthest = distance, triplet.positive = j;
          } else {
            if (distance < nearest) nearest = distance, triplet.negative = j;
          }
        }
      }
    });
  });
}

template <class T>
void mine_semi_hard(const T* e, int64_t m, int64_t d, const RowClasses& classes, const T*, Triplet* triplets,
                    int64_t count) {
  parallel_for(count, 1, [=](int64_t begin, int64_t end) {
    simd([=] {
      for (int64_t t = begin; t < end; t++) {
        Triplet& triplet = triplets[t];
        const T positive = squared_distance(e + triplet.anchor * d, e + triplet.positive * d, d);
        T farthest = -1, nearest = kInfinity<T>;
        int32_t farthest_row = triplet.negative;
        for (int32_t j = 0; j < m; j++) {
          if (classes.of_row[j] == classes.of_row[triplet.anchor]) continue;
          const T distance = squared_distance(e + triplet.anchor * d, e + j * d, d);
          if (distance > positive && distance < nearest) nearest = distance, triplet.negative = j;
          if (distance > farthest) farthest = distance, farthest_row = j;
        }
        if (nearest == kInfinity<T>) triplet.negative = farthest_row;
      }
    });
  });
}

#define INSTANTIATE(T)                                                                                       \
  template int64_t mining_workspace<T>(int64_t, int64_t);                                                    \
  template void mining_prepare(const T*, int64_t, int64_t, T*);                                              \
  template void mine_batch_hard(const T*, int64_t, int64_t, const RowClasses&, const T*, Triplet*, int64_t); \
  template void mine_semi_hard(const T*, int64_t, int64_t, const RowClasses&, const T*, Triplet*, int64_t);
INSTANTIATE(float)
INSTANTIATE(double)

}  // namespace lookalike::cpu
