#include <type_traits>

#include "kernels/exp.h"
#include "kernels/log.h"
#include "kernels/parallel.h"
#include "kernels/pointwise_loss.h"

namespace lookalike::cpu {
namespace {

struct FastMath {
  static float exp(float x) { return fast_exp(x); }
  static float log(float x) { return fast_log(x); }
  static float log1p(float x) { return fast_log1p(x); }
};
template <class T>
using MathOf = std::conditional_t<std::is_same_v<T, float>, FastMath, ExactMath>;

// Elements whose sum is a part by itself. A thread takes at least some of these chunks.
constexpr int64_t kChunk = 2048;

}  // namespace

int64_t pointwise_loss_workspace(int64_t n) {
  return (n + kChunk - 1) / kChunk;
}

template <class T>
double pointwise_loss(PointwiseLoss kind, const T* y, const T* t, int64_t n, double scale, double* workspace, T* dy) {
  const int64_t chunks = pointwise_loss_workspace(n);
  const T slope_scale = static_cast<T>(scale);
  with_pointwise_loss<T, MathOf<T>>(kind, [=](auto f) {
    parallel_for(chunks, 8, [=](int64_t first, int64_t last) {
      simd([=] {
        for (int64_t chunk = first; chunk < last; chunk++) {
          T sum = 0;
#pragma omp simd reduction(+ : sum)
          for (int64_t i = chunk * kChunk; i < std::min((chunk + 1) * kChunk, n); i++) {
            const PointLoss<T> point = f(y[i], t[i]);
            sum += point.loss;
            dy[i] = slope_scale * point.slope;
          }
          workspace[chunk] = sum;
        }
      });
    });
  });
  double total = 0;
  for (int64_t chunk = 0; chunk < chunks; chunk++) total += workspace[chunk];
  return total;
}

template double pointwise_loss(PointwiseLoss, const float*, const float*, int64_t, double, double*, float*);
template double pointwise_loss(PointwiseLoss, const double*, const double*, int64_t, double, double*, double*);

}  // namespace lookalike::cpu
