// Matrix products, row-major, for linear layers: forward x w^T, backward data dy w, backward weights dy^T x.
#pragma once

#include <cstdint>

namespace lookalike::cpu {

// Elements of workspace that any of the products of these sizes needs with the present number of threads.
template <class T>
int64_t matmul_workspace(int64_t m, int64_t n, int64_t k);

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
void column_sums(int64_t m, int64_t n, const T* a, T* sums);

}  // namespace lookalike::cpu
