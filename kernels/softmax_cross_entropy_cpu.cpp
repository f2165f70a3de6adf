#include <cmath>
#include <type_traits>

#include "kernels/exp.h"
#include "kernels/parallel.h"
#include "kernels/softmax_cross_entropy.h"

namespace lookalike::cpu {
namespace {

template <class T>
T exponential(T x) {
  if constexpr (std::is_same_v<T, float>)
    return fast_exp(x);
  else
    return std::exp(x);
}

}  // namespace

template <class T>
DistanceSums softmax_cross_entropy(const T* x, const int32_t* classes, int64_t n, int64_t c, double scale,
                                   double* workspace, T* dx) {
  parallel_for(n, 4096 / (c + 1) + 1, [=](int64_t begin, int64_t end) {
    simd([=] {
      for (int64_t i = begin; i < end; i++) {
        const T* from = x + i * c;
        T* to = dx + i * c;
        T top = from[0], sum = 0;
#pragma omp simd reduction(max : top)
        for (int64_t j = 0; j < c; j++) top = from[j] > top ? from[j] : top;
        const T own = from[classes[i]];
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < c; j++) sum += to[j] = exponential(from[j] - top);
        const T factor = static_cast<T>(scale) / sum;
        for (int64_t j = 0; j < c; j++) to[j] *= factor;
        to[classes[i]] -= static_cast<T>(scale);
        workspace[2 * i] = std::log(static_cast<double>(sum)) + (static_cast<double>(top) - static_cast<double>(own));
        workspace[2 * i + 1] = own < top;
      }
    });
  });
  DistanceSums sums;
  for (int64_t i = 0; i < n; i++) sums.loss += workspace[2 * i], sums.active += workspace[2 * i + 1] != 0;
  return sums;
}

template DistanceSums softmax_cross_entropy(const float*, const int32_t*, int64_t, int64_t, double, double*, float*);
template DistanceSums softmax_cross_entropy(const double*, const int32_t*, int64_t, int64_t, double, double*, double*);

}  // namespace lookalike::cpu
