#include "kernels/pairs.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {

template <class T>
void pair_distances(const T* e, int64_t d, const RowPair* pairs, int64_t count, T* squared) {
  parallel_for(count, 65536 / (d + 1) + 1, [=](int64_t begin, int64_t end) {
    simd([=] {
      for (int64_t q = begin; q < end; q++) squared[q] = squared_distance(e + pairs[q].i * d, e + pairs[q].j * d, d);
    });
  });
}

// Threads split the columns, not the list: every element is summed in the order of the list.
template <class T>
void pair_gradients(const T* e, int64_t d, const RowPair* pairs, const T* weights, int64_t count, T* de) {
  const int64_t line = 16, lines = (d + line - 1) / line;
  parallel_for(lines, 16384 / (line * (count + 1)) + 1, [=](int64_t first, int64_t last) {
    const int64_t begin = first * line, end = std::min(d, last * line);
    simd([=] {
      for (int64_t q = 0; q < count; q++) {
        const T weight = weights[q];
        if (weight == 0) continue;
        const T *ei = e + pairs[q].i * d, *ej = e + pairs[q].j * d;
        T *di = de + pairs[q].i * d, *dj = de + pairs[q].j * d;
#pragma GCC ivdep
        for (int64_t k = begin; k < end; k++) {
          const T pull = weight * (ei[k] - ej[k]);
          di[k] += pull, dj[k] -= pull;
        }
      }
    });
  });
}

template void pair_distances(const float*, int64_t, const RowPair*, int64_t, float*);
template void pair_distances(const double*, int64_t, const RowPair*, int64_t, double*);
template void pair_gradients(const float*, int64_t, const RowPair*, const float*, int64_t, float*);
template void pair_gradients(const double*, int64_t, const RowPair*, const double*, int64_t, double*);

}  // namespace lookalike::cpu
