// Matrix products, row-major, for linear layers: forward x w^T, backward data dy w, backward weights dy^T x.
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/gpu/device.h"

namespace lookalike {
namespace cpu {

// Elements of workspace that any of the products of these sizes needs with the present number of threads.
template <class T>
int64_t matmul_workspace(int64_t m, int64_t n, int64_t k);
template <class T>
int64_t column_sums_workspace(int64_t m, int64_t n);

// c[m,n] = a[m,k] b[n,k]^T + bias[n], overwritten; bias may be null.
template <class T>
void matmul_nt(int64_t m, int64_t n, int64_t k, const T* a, const T* b, const T* bias, T* c, T* workspace);
// c[m,n] = a[m,k] b[k,n], overwritten.
template <class T>
void matmul_nn(int64_t m, int64_t n, int64_t k, const T* a, const T* b, T* c, T* workspace);
// c[m,n] = a[k,m]^T b[k,n], overwritten.
template <class T>
void matmul_tn(int64_t m, int64_t n, int64_t k, const T* a, const T* b, T* c, T* workspace);

// sums[n] of the columns of a[m,n], overwritten.
template <class T>
void column_sums(int64_t m, int64_t n, const T* a, T* sums, T* workspace);

}  // namespace cpu

// T = float or bf16: of the activations and their gradients; weights, biases and their gradients are float. Sums are
// float. bf16 is multiplied on tensor cores (float weights are rounded to bf16 first); float with `tf32` on tensor cores,
// the factors rounded to 10 bits of mantissa, and without on the ordinary cores. Sizes are below 2^31. Workspaces, like
// all arrays, are aligned to 16 bytes.
namespace cuda {

// Elements of workspace that any of the products of these sizes needs.
template <class T>
int64_t matmul_workspace(int64_t m, int64_t n, int64_t k);
template <class T>
int64_t column_sums_workspace(int64_t m, int64_t n);

// c[m,n] = f(a[m,k] b[n,k]^T + bias[n]), overwritten; bias may be null.
template <class T>
void matmul_nt(int64_t m, int64_t n, int64_t k, const T* a, const float* b, const float* bias,
               const Activation& activation, bool tf32, T* c, T* workspace, gpu::Stream stream);
// c[m,n] = a[m,k] b[k,n], overwritten.
template <class T>
void matmul_nn(int64_t m, int64_t n, int64_t k, const T* a, const float* b, bool tf32, T* c, T* workspace,
               gpu::Stream stream);
// c[m,n] = a[k,m]^T b[k,n], overwritten.
template <class T>
void matmul_tn(int64_t m, int64_t n, int64_t k, const T* a, const T* b, bool tf32, float* c, T* workspace,
               gpu::Stream stream);
// c[m,n] = a[k,m]^T b[n,k]^T, overwritten.
template <class T>
void matmul_tt(int64_t m, int64_t n, int64_t k, const T* a, const float* b, bool tf32, T* c, T* workspace,
               gpu::Stream stream);
// sums[n] of the columns of a[m,n], overwritten; m is at most 2^31 - 2^16.
template <class T>
void column_sums(int64_t m, int64_t n, const T* a, float* sums, T* workspace, gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
