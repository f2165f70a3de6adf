// Rows of a matrix by number: y_i = x_index(i), x[m, d], y[n, d]. The gradient of a row of x is the sum over the rows of y
// that are it, in their order: `order[n]` has the numbers of y's rows, row after row of x, `begin[m + 1]` where each row's are.
#pragma once

#include <cstdint>

#include "kernels/gpu/device.h"

namespace lookalike {
namespace cpu {

// y overwritten.
template <class T>
void gather_rows_forward(const T* x, const int32_t* index, int64_t n, int64_t d, T* y);
// dx[m, d] overwritten.
template <class T>
void gather_rows_backward(const T* dy, const int32_t* begin, const int32_t* order, int64_t m, int64_t d, T* dx);

}  // namespace cpu

// The same for T = float and bf16, sums in float; x and y have at most 2^31 - 2^16 elements. All lists are in device memory.
namespace cuda {

template <class T>
void gather_rows_forward(const T* x, const int32_t* index, int64_t n, int64_t d, T* y, gpu::Stream stream);
template <class T>
void gather_rows_backward(const T* dy, const int32_t* begin, const int32_t* order, int64_t m, int64_t d, T* dx,
                          gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
