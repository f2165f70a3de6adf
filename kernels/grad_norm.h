// The norm of many gradients taken as one vector, and their scaling: what clipping needs.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/gpu/device.h"

namespace lookalike {

template <class T>
struct GradTensor {
  T* g;
  int64_t size;
};

namespace cpu {

// Elements of the workspace that squared_norm needs.
template <class T>
int64_t squared_norm_workspace(std::span<const GradTensor<T>> tensors);
// Sum of the squares of all elements, in double, in an order that depends on the sizes alone.
template <class T>
double squared_norm(std::span<const GradTensor<T>> tensors, double* workspace);
// Every element times `factor`, in place.
template <class T>
void scale(std::span<const GradTensor<T>> tensors, double factor);

}  // namespace cpu

namespace cuda {

// Elements of the workspace that grad_norm needs.
int64_t grad_norm_workspace(std::span<const GradTensor<float>> tensors);
// norm: that of all gradients; factor: what they are to be scaled with so that it is at most max_norm, which is
// max_norm / (norm + 1e-6) where it is finite and larger, else 1. Both are one number in device memory, overwritten.
void grad_norm(std::span<const GradTensor<float>> tensors, double max_norm, double* workspace, double* norm,
               float* factor, gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
