// What becomes of the sums of a matrix product on their way out: bias, activation, rounding.
#pragma once

#include "kernels/activation.h"
#include "kernels/gpu/gemm.h"

namespace lookalike::gpu {

struct Output {
  const float* bias;  // [columns], may be null
  AnyActivation f;
  int columns;

  __device__ float finish(float x, int column) const { return f.forward(bias != nullptr ? x + bias[column] : x); }

  // A run of sums of one row, as an epilogue gets them.
  template <class T>
  __device__ void store(T* to, int column, const float (&sums)[kGemmRun], int valid) const {
    Pack<T, kGemmRun> run;
#pragma unroll
    for (int i = 0; i < kGemmRun; i++) {
      if (i < valid) run.x[i] = from_float<T>(finish(sums[i], column + i));
    }
    store_run(to, run, columns, valid);
  }
};

// The epilogue that stores to y[rows, columns].
template <class T>
struct StoreRows {
  static constexpr bool kWholeTile = false;
  Output output;
  T* y;

  __device__ void operator()(int row, int column, const float (&sums)[kGemmRun], int valid) const {
    output.store(y + int64_t{row} * output.columns + column, column, sums, valid);
  }
};

// The same of sums and `plus`, which is like y.
template <class T>
struct StoreRowsPlus {
  static constexpr bool kWholeTile = false;
  Output output;
  const T* plus;
  T* y;

  __device__ void operator()(int row, int column, const float (&sums)[kGemmRun], int valid) const {
    const int64_t at = int64_t{row} * output.columns + column;
    const auto more = load_run<kGemmRun>(plus + at, output.columns, valid);
    float both[kGemmRun];
#pragma unroll
    for (int i = 0; i < kGemmRun; i++) both[i] = sums[i] + to_float(more.x[i]);
    output.store(y + at, column, both, valid);
  }
};

}  // namespace lookalike::gpu
