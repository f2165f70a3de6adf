#include "kernels/barlow_twins.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {

template <class T>
void barlow_twins(T* c, int64_t d, int64_t n, double lambda, double* workspace, T* loss) {
  const T share = static_cast<T>(1 / static_cast<double>(n)), factor = static_cast<T>(2 * lambda) * share;
  parallel_for(d, 16384 / (d + 1) + 1, [=](int64_t begin, int64_t end) {
    simd([=] {
      for (int64_t i = begin; i < end; i++) {
        T* row = c + i * d;
        const T gap = 1 - share * row[i];
        row[i] = 0;
        T squares = 0;
#pragma omp simd reduction(+ : squares)
        for (int64_t j = 0; j < d; j++) {
          const T value = share * row[j];
          squares += value * value;
          row[j] = factor * value;
        }
        row[i] = -2 * share * gap;
        workspace[i] = static_cast<double>(gap) * gap + lambda * static_cast<double>(squares);
      }
    });
  });
  double total = 0;
  for (int64_t i = 0; i < d; i++) total += workspace[i];
  *loss = static_cast<T>(total);
}

template void barlow_twins(float*, int64_t, int64_t, double, double*, float*);
template void barlow_twins(double*, int64_t, int64_t, double, double*, double*);

}  // namespace lookalike::cpu
