#include <cmath>

#include "kernels/l2_normalize.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {

template <class T>
void l2_normalize_forward(const T* x, int64_t rows, int64_t d, double eps, T* y, T* scale) {
  const T least = static_cast<T>(eps);
  parallel_for(rows, 16384 / (d + 1) + 1, [=](int64_t begin, int64_t end) {
    simd([=] {
      for (int64_t i = begin; i < end; i++) {
        T squares = 0;
#pragma omp simd reduction(+ : squares)
        for (int64_t k = 0; k < d; k++) squares += x[i * d + k] * x[i * d + k];
        const T length = std::sqrt(squares), inverse = 1 / (length > least ? length : least);
#pragma GCC ivdep
        for (int64_t k = 0; k < d; k++) y[i * d + k] = inverse * x[i * d + k];
        scale[i] = length <= least ? 0 : inverse;
      }
    });
  });
}

template <class T>
void l2_normalize_backward(const T* y, const T* scale, const T* dy, int64_t rows, int64_t d, T* dx) {
  parallel_for(rows, 16384 / (d + 1) + 1, [=](int64_t begin, int64_t end) {
    simd([=] {
      for (int64_t i = begin; i < end; i++) {
        T radial = 0;
#pragma omp simd reduction(+ : radial)
        for (int64_t k = 0; k < d; k++) radial += y[i * d + k] * dy[i * d + k];
        const T s = scale[i];
#pragma GCC ivdep
        for (int64_t k = 0; k < d; k++) dx[i * d + k] = s * (dy[i * d + k] - radial * y[i * d + k]);
      }
    });
  });
}

template void l2_normalize_forward(const float*, int64_t, int64_t, double, float*, float*);
template void l2_normalize_forward(const double*, int64_t, int64_t, double, double*, double*);
template void l2_normalize_backward(const float*, const float*, const float*, int64_t, int64_t, float*);
template void l2_normalize_backward(const double*, const double*, const double*, int64_t, int64_t, double*);

}  // namespace lookalike::cpu
