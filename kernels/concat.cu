// Bound by memory: a thread copies a run of channels, 16 bytes' worth where both numbers of channels divide by it.
#include "kernels/concat.h"
#include "kernels/gpu/columns.h"
#include "kernels/gpu/fast_divide.h"

namespace lookalike::cuda {
namespace {

// Items are the runs of y. of_a and of_b: runs in a row of each part.
template <class Run>
struct Join {
  int of_a, of_b;
  gpu::FastDivide by_row;
  const Run *a, *b;
  Run* y;

  __device__ void operator()(int64_t item) const {
    int i = static_cast<int>(item);
    const int64_t row = by_row.split(i);
    y[item] = i < of_a ? a[row * of_a + i] : b[row * of_b + i - of_a];
  }
};

template <class Run>
struct TakeApart {
  int of_a, of_b;
  gpu::FastDivide by_row;
  const Run* dy;
  Run *a, *b;

  __device__ void operator()(int64_t item) const {
    int i = static_cast<int>(item);
    const int64_t row = by_row.split(i);
    Run* const to = i < of_a ? a : b;
    if (to != nullptr) to[i < of_a ? row * of_a + i : row * of_b + i - of_a] = dy[item];
  }
};

// body(integral_constant) with the length of the runs.
template <class T, class Body>
void with_common_run(int64_t a, int64_t b, bool aligned, const Body& body) {
  gpu::with_run<T>(a, aligned && b % gpu::kWide<T> == 0, body);
}

int small(int64_t n) {
  return static_cast<int>(n);
}

}  // namespace

template <class T>
void concat_forward(int64_t rows, int64_t a, int64_t b, const T* x_a, const T* x_b, T* y, gpu::Stream stream) {
  with_common_run<T>(a, b, gpu::aligned_to_16(x_a, x_b, y), [&](auto run) {
    using Run = gpu::Pack<T, run.value>;
    gpu::for_each(
        "concat_forward", rows * ((a + b) / run), stream,
        Join<Run>{small(a / run), small(b / run), gpu::FastDivide((a + b) / run), reinterpret_cast<const Run*>(x_a),
                  reinterpret_cast<const Run*>(x_b), reinterpret_cast<Run*>(y)});
  });
}

template <class T>
void concat_backward(int64_t rows, int64_t a, int64_t b, const T* dy, T* dx_a, T* dx_b, gpu::Stream stream) {
  with_common_run<T>(a, b, gpu::aligned_to_16(dy, dx_a, dx_b), [&](auto run) {
    using Run = gpu::Pack<T, run.value>;
    gpu::for_each(
        "concat_backward", rows * ((a + b) / run), stream,
        TakeApart<Run>{small(a / run), small(b / run), gpu::FastDivide((a + b) / run), reinterpret_cast<const Run*>(dy),
                       reinterpret_cast<Run*>(dx_a), reinterpret_cast<Run*>(dx_b)});
  });
}

template void concat_forward(int64_t, int64_t, int64_t, const float*, const float*, float*, gpu::Stream);
template void concat_forward(int64_t, int64_t, int64_t, const bf16*, const bf16*, bf16*, gpu::Stream);
template void concat_backward(int64_t, int64_t, int64_t, const float*, float*, float*, gpu::Stream);
template void concat_backward(int64_t, int64_t, int64_t, const bf16*, bf16*, bf16*, gpu::Stream);

}  // namespace lookalike::cuda
