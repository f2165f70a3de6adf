#include <cmath>
#include <limits>

#include "kernels/nt_xent.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {
namespace {

template <class T>
T dot(const T* a, const T* b, int64_t d) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t k = 0; k < d; k++) sum += a[k] * b[k];
  return sum;
}

}  // namespace

template <class T>
int64_t nt_xent_workspace(int64_t n, int64_t) {
  return 2 * n;
}

// The plain loops.
template <class T>
NtXentSums nt_xent(const T* a, const T* b, int64_t n, int64_t d, double temperature, T* workspace, T* da, T* db) {
  NtXentSums sums;
  const T scale = static_cast<T>(1 / temperature);
  T* log_sums[2] = {workspace, workspace + n};
  for (int side : {0, 1}) {
    const T *x = side ? b : a, *y = side ? a : b;
    for (int64_t i = 0; i < n; i++) {
      T largest = -std::numeric_limits<T>::infinity(), sum = 0;
      for (int64_t j = 0; j < n; j++) largest = std::max(largest, scale * dot(x + i * d, y + j * d, d));
      for (int64_t j = 0; j < n; j++) sum += std::exp(scale * dot(x + i * d, y + j * d, d) - largest);
      const T own = scale * dot(x + i * d, y + i * d, d);
      log_sums[side][i] = largest + std::log(sum);
      sums.loss += log_sums[side][i] - own;
      sums.active += own < largest;
    }
  }
  for (int side : {0, 1}) {
    const T *x = side ? b : a, *y = side ? a : b;
    T* dx = side ? db : da;
    for (int64_t i = 0; i < n; i++) {
      for (int64_t k = 0; k < d; k++) dx[i * d + k] = 0;
      for (int64_t j = 0; j < n; j++) {
        const T s = scale * dot(x + i * d, y + j * d, d);
        const T g = std::exp(s - log_sums[side][i]) + std::exp(s - log_sums[1 - side][j]) - (i == j ? 2 : 0);
        for (int64_t k = 0; k < d; k++) dx[i * d + k] += g * scale / static_cast<T>(2 * n) * y[j * d + k];
      }
    }
  }
  return sums;
}

template int64_t nt_xent_workspace<float>(int64_t, int64_t);
template int64_t nt_xent_workspace<double>(int64_t, int64_t);
template NtXentSums nt_xent(const float*, const float*, int64_t, int64_t, double, float*, float*, float*);
template NtXentSums nt_xent(const double*, const double*, int64_t, int64_t, double, double*, double*, double*);

}  // namespace lookalike::cpu
