// Matrix products on the core of kernels/gpu/gemm.h, as templates that matmul.cu and matmul_bf16.cu instantiate, each for its
// own type: there are many kernels. Float weights beside bf16 activations are rounded once, into the workspace.
#pragma once

#include "kernels/cast.h"
#include "kernels/gpu/columns.h"
#include "kernels/gpu/gemm_output.h"
#include "kernels/matmul.h"

namespace lookalike::cuda {
namespace {

using gpu::Math;

template <Math kMath, class T, bool kDepthA, bool kDepthB, class Output>
void product(const char* name, int m, int n, int k, const T* a, const T* b, const gpu::StoreRows<Output>& store,
             float* workspace, gpu::Stream stream) {
  constexpr int kVector = 16 / sizeof(T);
  const bool vector = (kDepthA ? k : m) % kVector == 0 && (kDepthB ? k : n) % kVector == 0;
  const gpu::GemmPlan plan = gpu::plan_gemm<kMath>(m, n, k, vector);
  const auto run = [&]<int kWidth>(std::integral_constant<int, kWidth>) {
    gpu::gemm<kMath>(name, plan, gpu::MatrixSource<T, kDepthA, kWidth>{a, m, k},
                     gpu::MatrixSource<T, kDepthB, kWidth>{b, n, k}, store, workspace, stream);
  };
  if (vector)
    run(std::integral_constant<int, kVector>{});
  else
    run(std::integral_constant<int, 1>{});
}

// Elements of workspace before the shares of a split depth: b rounded to bf16.
template <class T>
int64_t rounded_elements(int64_t n, int64_t k) {
  return std::is_same_v<T, bf16> ? gpu::ceil_divide<int64_t>(n * k, 8) * 8 : 0;
}

// kDepthA: a is [m,k], else [k,m]; kDepthB: b is [n,k], else [k,n].
template <bool kDepthA, bool kDepthB, class T, class U, class Output>
void matmul(const char* name, int64_t m, int64_t n, int64_t k, const T* a, const U* b, bool tf32,
            const gpu::StoreRows<Output>& store, T* workspace, gpu::Stream stream) {
  const int m32 = static_cast<int>(m), n32 = static_cast<int>(n), k32 = static_cast<int>(k);
  float* const shares = reinterpret_cast<float*>(workspace + rounded_elements<T>(n, k));
  if constexpr (std::is_same_v<T, bf16>) {
    const bf16* rounded;
    if constexpr (std::is_same_v<U, bf16>) {
      rounded = b;
    } else {
      cast(b, workspace, n * k, stream);
      rounded = workspace;
    }
    product<Math::bf16, bf16, kDepthA, kDepthB>(name, m32, n32, k32, a, rounded, store, shares, stream);
  } else if (tf32) {
    product<Math::tf32, float, kDepthA, kDepthB>(name, m32, n32, k32, a, b, store, shares, stream);
  } else {
    product<Math::fp32, float, kDepthA, kDepthB>(name, m32, n32, k32, a, b, store, shares, stream);
  }
}

template <class T>
gpu::StoreRows<T> plain_store(T* c, int64_t n) {
  return {{nullptr, AnyActivation({}), static_cast<int>(n)}, c};
}

}  // namespace

template <class T>
int64_t column_sums_workspace(int64_t m, int64_t n) {
  return gpu::sum_columns_workspace(m, n) * static_cast<int64_t>(sizeof(float) / sizeof(T));
}

template <class T>
int64_t matmul_workspace(int64_t m, int64_t n, int64_t k) {
  int64_t floats = 0;
  for (const bool vector : {true, false}) {
    if constexpr (std::is_same_v<T, bf16>) {
      floats = std::max(floats, gpu::gemm_workspace(gpu::plan_gemm<Math::bf16>(m, n, k, vector), m, n));
    } else {
      floats = std::max(floats, gpu::gemm_workspace(gpu::plan_gemm<Math::tf32>(m, n, k, vector), m, n));
      floats = std::max(floats, gpu::gemm_workspace(gpu::plan_gemm<Math::fp32>(m, n, k, vector), m, n));
    }
  }
  return rounded_elements<T>(n, k) + floats * static_cast<int64_t>(sizeof(float) / sizeof(T));
}

template <class T>
void matmul_nt(int64_t m, int64_t n, int64_t k, const T* a, const float* b, const float* bias, const Activation& f,
               bool tf32, T* c, T* workspace, gpu::Stream stream) {
  matmul<true, true>("matmul_nt", m, n, k, a, b, tf32,
                     gpu::StoreRows<T>{{bias, AnyActivation(f), static_cast<int>(n)}, c}, workspace, stream);
}
template <class T>
void matmul_nn(int64_t m, int64_t n, int64_t k, const T* a, const float* b, bool tf32, T* c, T* workspace,
               gpu::Stream stream) {
  matmul<true, false>("matmul_nn", m, n, k, a, b, tf32, plain_store(c, n), workspace, stream);
}
template <class T>
void matmul_tn(int64_t m, int64_t n, int64_t k, const T* a, const T* b, bool tf32, float* c, T* workspace,
               gpu::Stream stream) {
  matmul<false, false>("matmul_tn", m, n, k, a, b, tf32, plain_store(c, n), workspace, stream);
}
template <class T>
void matmul_tt(int64_t m, int64_t n, int64_t k, const T* a, const float* b, bool tf32, T* c, T* workspace,
               gpu::Stream stream) {
  matmul<false, true>("matmul_tt", m, n, k, a, b, tf32, plain_store(c, n), workspace, stream);
}

template <class T>
void column_sums(int64_t m, int64_t n, const T* a, float* sums, T* workspace, gpu::Stream stream) {
  gpu::with_run<T>(n, gpu::aligned_to_16(a), [&](auto run) {
    gpu::sum_columns<run.value>("column_sums", m, n, gpu::PlainColumns<T>{a, static_cast<int>(n)},
                                reinterpret_cast<float*>(workspace), sums, stream);
  });
}

#define LOOKALIKE_INSTANTIATE_MATMUL(T)                                                                             \
  template int64_t column_sums_workspace<T>(int64_t, int64_t);                                                      \
  template int64_t matmul_workspace<T>(int64_t, int64_t, int64_t);                                                  \
  template void matmul_nt(int64_t, int64_t, int64_t, const T*, const float*, const float*, const Activation&, bool, \
                          T*, T*, gpu::Stream);                                                                     \
  template void matmul_nn(int64_t, int64_t, int64_t, const T*, const float*, bool, T*, T*, gpu::Stream);            \
  template void matmul_tn(int64_t, int64_t, int64_t, const T*, const T*, bool, float*, T*, gpu::Stream);            \
  template void matmul_tt(int64_t, int64_t, int64_t, const T*, const float*, bool, T*, T*, gpu::Stream);            \
  template void column_sums(int64_t, int64_t, const T*, float*, T*, gpu::Stream);

}  // namespace lookalike::cuda
