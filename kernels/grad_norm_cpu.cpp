#include "kernels/chunks.h"
#include "kernels/grad_norm.h"

namespace lookalike::cpu {

template <class T>
int64_t squared_norm_workspace(std::span<const GradTensor<T>> tensors) {
  return count_chunks(tensors);
}

template <class T>
double squared_norm(std::span<const GradTensor<T>> tensors, double* workspace) {
  for_chunks(tensors, [=](const GradTensor<T>& tensor, int64_t chunk, int64_t begin, int64_t end) {
    const T* g = tensor.g;
    simd([=] {
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = begin; i < end; i++) sum += static_cast<double>(g[i]) * static_cast<double>(g[i]);
      workspace[chunk] = sum;
    });
  });
  double total = 0;
  for (int64_t chunk = 0; chunk < count_chunks(tensors); chunk++) total += workspace[chunk];
  return total;
}

template <class T>
void scale(std::span<const GradTensor<T>> tensors, double factor) {
  const T by = static_cast<T>(factor);
  for_chunks(tensors, [=](const GradTensor<T>& tensor, int64_t, int64_t begin, int64_t end) {
    T* g = tensor.g;
    simd([=] {
      for (int64_t i = begin; i < end; i++) g[i] *= by;
    });
  });
}

template int64_t squared_norm_workspace(std::span<const GradTensor<float>>);
template int64_t squared_norm_workspace(std::span<const GradTensor<double>>);
template double squared_norm(std::span<const GradTensor<float>>, double*);
template double squared_norm(std::span<const GradTensor<double>>, double*);
template void scale(std::span<const GradTensor<float>>, double);
template void scale(std::span<const GradTensor<double>>, double);

}  // namespace lookalike::cpu
