// Bound by memory: what is gathered is read once and written once, in runs that lie in one row. Backward gathers too, so every
// element has one owner.
#include "kernels/gather_rows.h"
#include "kernels/gpu/elementwise.h"
#include "kernels/gpu/fast_divide.h"

namespace lookalike::cuda {
namespace {

template <class T>
struct Forward {
  int d;
  gpu::FastDivide by_d;
  const T* x;
  const int32_t* index;
  T* y;
  template <int kWidth>
  __device__ void run(int64_t i) const {
    int column = static_cast<int>(i);
    const int row = by_d.split(column);
    gpu::store(y + i, gpu::load<kWidth>(x + int64_t{index[row]} * d + column));
  }
};

template <class T>
struct Backward {
  int d;
  gpu::FastDivide by_d;
  const T* dy;
  const int32_t *begin, *order;
  T* dx;
  template <int kWidth>
  __device__ void run(int64_t i) const {
    int column = static_cast<int>(i);
    const int row = by_d.split(column);
    float sums[kWidth] = {};
    for (int32_t q = begin[row]; q < begin[row + 1]; q++) {
      const auto values = gpu::load<kWidth>(dy + int64_t{order[q]} * d + column);
#pragma unroll
      for (int j = 0; j < kWidth; j++) sums[j] += to_float(values.x[j]);
    }
    gpu::Pack<T, kWidth> out;
#pragma unroll
    for (int j = 0; j < kWidth; j++) out.x[j] = from_float<T>(sums[j]);
    gpu::store(dx + i, out);
  }
};

}  // namespace

template <class T>
void gather_rows_forward(const T* x, const int32_t* index, int64_t n, int64_t d, T* y, gpu::Stream stream) {
  constexpr int kWidth = 16 / sizeof(T);
  gpu::for_runs<kWidth>("gather_rows_forward", n * d, d % kWidth == 0 && gpu::aligned_to_16(x, y), stream,
                        Forward<T>{static_cast<int>(d), gpu::FastDivide(d), x, index, y});
}

template <class T>
void gather_rows_backward(const T* dy, const int32_t* begin, const int32_t* order, int64_t m, int64_t d, T* dx,
                          gpu::Stream stream) {
  constexpr int kWidth = 16 / sizeof(T);
  gpu::for_runs<kWidth>("gather_rows_backward", m * d, d % kWidth == 0 && gpu::aligned_to_16(dy, dx), stream,
                        Backward<T>{static_cast<int>(d), gpu::FastDivide(d), dy, begin, order, dx});
}

#define LOOKALIKE_INSTANTIATE(T)                                                                  \
  template void gather_rows_forward(const T*, const int32_t*, int64_t, int64_t, T*, gpu::Stream); \
  template void gather_rows_backward(const T*, const int32_t*, const int32_t*, int64_t, int64_t, T*, gpu::Stream);
LOOKALIKE_INSTANTIATE(float)
LOOKALIKE_INSTANTIATE(bf16)
#undef LOOKALIKE_INSTANTIATE

}  // namespace lookalike::cuda
