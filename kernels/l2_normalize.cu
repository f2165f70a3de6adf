// A warp for each row: forward reads x (again from the cache) and writes y, backward reads y and dy and writes dx. A thread
// takes 4 elements at a time where the rows' length divides by it.
#include "kernels/gpu/elementwise.h"
#include "kernels/gpu/reduce.h"
#include "kernels/l2_normalize.h"

namespace lookalike::cuda {
namespace {

constexpr int kThreads = 256, kRows = kThreads / gpu::kWarp;  // of a block

template <class T, int kRun>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(const T* x, int64_t rows, int d, float eps, float* y, float* scale) {
  const int64_t row = int64_t{blockIdx.x} * kRows + threadIdx.x / gpu::kWarp;
  const int lane = static_cast<int>(threadIdx.x) % gpu::kWarp;
  if (row >= rows) return;  // whole warps
  x += row * d, y += row * d;
  float squares = 0;
#pragma unroll 4
  for (int k = kRun * lane; k < d; k += kRun * gpu::kWarp) {
    const auto values = gpu::load<kRun>(x + k);
#pragma unroll
    for (int j = 0; j < kRun; j++) squares += to_float(values.x[j]) * to_float(values.x[j]);
  }
  const float length = sqrtf(gpu::warp_sum(squares)), inverse = 1 / (length > eps ? length : eps);
#pragma unroll 4
  for (int k = kRun * lane; k < d; k += kRun * gpu::kWarp) {
    const auto values = gpu::load<kRun>(x + k);
    gpu::Pack<float, kRun> out;
#pragma unroll
    for (int j = 0; j < kRun; j++) out.x[j] = inverse * to_float(values.x[j]);
    gpu::store(y + k, out);
  }
  if (lane == 0) scale[row] = length <= eps ? 0 : inverse;
}

template <class T, int kRun>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const float* y, const float* scale, const float* dy, int64_t rows, int d, T* dx) {
  const int64_t row = int64_t{blockIdx.x} * kRows + threadIdx.x / gpu::kWarp;
  const int lane = static_cast<int>(threadIdx.x) % gpu::kWarp;
  if (row >= rows) return;
  y += row * d, dy += row * d, dx += row * d;
  float radial = 0;
#pragma unroll 2
  for (int k = kRun * lane; k < d; k += kRun * gpu::kWarp) {
    const auto direction = gpu::load<kRun>(y + k), grads = gpu::load<kRun>(dy + k);
#pragma unroll
    for (int j = 0; j < kRun; j++) radial += direction.x[j] * grads.x[j];
  }
  radial = gpu::warp_sum(radial);
  const float s = scale[row];
#pragma unroll 2
  for (int k = kRun * lane; k < d; k += kRun * gpu::kWarp) {
    const auto direction = gpu::load<kRun>(y + k), grads = gpu::load<kRun>(dy + k);
    gpu::Pack<T, kRun> out;
#pragma unroll
    for (int j = 0; j < kRun; j++) out.x[j] = from_float<T>(s * (grads.x[j] - radial * direction.x[j]));
    gpu::store(dx + k, out);
  }
}

dim3 blocks_for(int64_t rows) {
  return dim3(static_cast<unsigned>(gpu::ceil_divide<int64_t>(rows, kRows)));
}

}  // namespace

template <class T>
void l2_normalize_forward(const T* x, int64_t rows, int64_t d, double eps, float* y, float* scale, gpu::Stream stream) {
  const bool wide = d % 4 == 0 && gpu::aligned_to_16(x, y);
  gpu::launch({"l2_normalize_forward", blocks_for(rows), dim3(kThreads), stream},
              wide ? forward_kernel<T, 4> : forward_kernel<T, 1>, x, rows, d, eps, y, scale);
}

template <class T>
void l2_normalize_backward(const float* y, const float* scale, const float* dy, int64_t rows, int64_t d, T* dx,
                           gpu::Stream stream) {
  const bool wide = d % 4 == 0 && gpu::aligned_to_16(y, dy, dx);
  gpu::launch({"l2_normalize_backward", blocks_for(rows), dim3(kThreads), stream},
              wide ? backward_kernel<T, 4> : backward_kernel<T, 1>, y, scale, dy, rows, d, dx);
}

template void l2_normalize_forward(const float*, int64_t, int64_t, double, float*, float*, gpu::Stream);
template void l2_normalize_forward(const bf16*, int64_t, int64_t, double, float*, float*, gpu::Stream);
template void l2_normalize_backward(const float*, const float*, const float*, int64_t, int64_t, float*, gpu::Stream);
template void l2_normalize_backward(const float*, const float*, const float*, int64_t, int64_t, bf16*, gpu::Stream);

}  // namespace lookalike::cuda
