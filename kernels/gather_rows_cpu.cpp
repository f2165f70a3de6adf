#include <algorithm>

#include "kernels/gather_rows.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {

template <class T>
void gather_rows_forward(const T* x, const int32_t* index, int64_t n, int64_t d, T* y) {
  parallel_for(n, 16384 / (d + 1) + 1, [=](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) std::copy_n(x + index[i] * d, d, y + i * d);
  });
}

template <class T>
void gather_rows_backward(const T* dy, const int32_t* begin, const int32_t* order, int64_t m, int64_t d, T* dx) {
  parallel_for(m, 16384 / (d + 1) + 1, [=](int64_t first, int64_t last) {
    simd([=] {
      for (int64_t row = first; row < last; row++) {
        T* to = dx + row * d;
        std::fill_n(to, d, T(0));
        for (int32_t q = begin[row]; q < begin[row + 1]; q++) {
          const T* from = dy + order[q] * d;
#pragma GCC ivdep
          for (int64_t k = 0; k < d; k++) to[k] += from[k];
        }
      }
    });
  });
}

#define LOOKALIKE_INSTANTIATE(T)                                                     \
  template void gather_rows_forward(const T*, const int32_t*, int64_t, int64_t, T*); \
  template void gather_rows_backward(const T*, const int32_t*, const int32_t*, int64_t, int64_t, T*);
LOOKALIKE_INSTANTIATE(float)
LOOKALIKE_INSTANTIATE(double)
#undef LOOKALIKE_INSTANTIATE

}  // namespace lookalike::cpu
