// The epilogue of the shipped kernel's steps: stores the sums.
#pragma once

#include "kernels/gpu/kernel.h"

namespace lookalike::ladder {

struct Store {
  static constexpr bool kWholeTile = false;
  float* c;
  int n;  // a multiple of 4
  template <int kRun>
  __device__ void operator()(int i, int j, const float (&sums)[kRun], int) const {
    struct alignas(4 * kRun) Run {
      float x[kRun];
    } run;
#pragma unroll
    for (int x = 0; x < kRun; x++) run.x[x] = sums[x];
    *reinterpret_cast<Run*>(c + int64_t{i} * n + j) = run;
  }
};

}  // namespace lookalike::ladder
