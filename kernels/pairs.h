// Distances between rows of an embedding matrix and their gradients, for an explicit list of pairs: what the distance
// losses are made of once they know their pairs. e[., d] is row-major; the list may name a row any number of times.
// Distances are taken from direct differences, so that near-zero ones keep their precision.
#pragma once

#include <cstdint>

namespace lookalike {

struct RowPair {
  int32_t i, j;
};

namespace cpu {

// ||a - b||^2; the same bits for (a, b) and (b, a). For use inside cpu::simd().
template <class T>
inline T squared_distance(const T* a, const T* b, int64_t d) {
  T sum = 0;
#ifndef __CUDACC__
#pragma omp simd reduction(+ : sum)
#endif
  for (int64_t k = 0; k < d; k++) sum += (a[k] - b[k]) * (a[k] - b[k]);
  return sum;
}

// squared[q] = ||e_i - e_j||^2 of pair q, overwritten.
template <class T>
void pair_distances(const T* e, int64_t d, const RowPair* pairs, int64_t count, T* squared);

// de_i += w_q (e_i - e_j) and de_j -= w_q (e_i - e_j) for each pair q: accumulated, in the order of the list.
template <class T>
void pair_gradients(const T* e, int64_t d, const RowPair* pairs, const T* weights, int64_t count, T* de);

}  // namespace cpu
}  // namespace lookalike
