// The norm of many gradients taken as one vector, and their scaling: what clipping needs.
#pragma once

#include <cstdint>
#include <span>

namespace lookalike::cpu {

template <class T>
struct GradTensor {
  T* g;
  int64_t size;
};

// Elements of the workspace that squared_norm needs.
template <class T>
int64_t squared_norm_workspace(std::span<const GradTensor<T>> tensors);
// Sum of the squares of all elements, in double, in an order that depends on the sizes alone.
template <class T>
double squared_norm(std::span<const GradTensor<T>> tensors, double* workspace);
// Every element times `factor`, in place.
template <class T>
void scale(std::span<const GradTensor<T>> tensors, double factor);

}  // namespace lookalike::cpu
