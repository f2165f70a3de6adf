// A warp for each row: forward reads x (again from the cache) and writes y, backward reads y and dy and writes dx.
#include "kernels/gpu/reduce.h"
#include "kernels/l2_normalize.h"

namespace lookalike::cuda {
namespace {

constexpr int kThreads = 256, kRows = kThreads / gpu::kWarp;  // of a block

template <class T>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(const T* x, int64_t rows, int64_t d, float eps, float* y, float* scale) {
  const int64_t row = int64_t{blockIdx.x} * kRows + threadIdx.x / gpu::kWarp;
  const int64_t lane = threadIdx.x % gpu::kWarp;
  if (row >= rows) return;  // whole warps
  x += row * d, y += row * d;
  float squares = 0;
  for (int64_t k = lane; k < d; k += gpu::kWarp) squares += to_float(x[k]) * to_float(x[k]);
  const float length = sqrtf(gpu::warp_sum(squares)), inverse = 1 / (length > eps ? length : eps);
  for (int64_t k = lane; k < d; k += gpu::kWarp) y[k] = inverse * to_float(x[k]);
  if (lane == 0) scale[row] = length <= eps ? 0 : inverse;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const float* y, const float* scale, const float* dy, int64_t rows, int64_t d, T* dx) {
  const int64_t row = int64_t{blockIdx.x} * kRows + threadIdx.x / gpu::kWarp;
  const int64_t lane = threadIdx.x % gpu::kWarp;
  if (row >= rows) return;
  y += row * d, dy += row * d, dx += row * d;
  float radial = 0;
  for (int64_t k = lane; k < d; k += gpu::kWarp) radial += y[k] * dy[k];
  radial = gpu::warp_sum(radial);
  const float s = scale[row];
  for (int64_t k = lane; k < d; k += gpu::kWarp) dx[k] = from_float<T>(s * (dy[k] - radial * y[k]));
}

dim3 blocks_for(int64_t rows) {
  return dim3(static_cast<unsigned>(gpu::ceil_divide<int64_t>(rows, kRows)));
}

}  // namespace

template <class T>
void l2_normalize_forward(const T* x, int64_t rows, int64_t d, double eps, float* y, float* scale, gpu::Stream stream) {
  gpu::launch({"l2_normalize_forward", blocks_for(rows), dim3(kThreads), stream}, forward_kernel<T>, x, rows, d, eps, y,
              scale);
}

template <class T>
void l2_normalize_backward(const float* y, const float* scale, const float* dy, int64_t rows, int64_t d, T* dx,
                           gpu::Stream stream) {
  gpu::launch({"l2_normalize_backward", blocks_for(rows), dim3(kThreads), stream}, backward_kernel<T>, y, scale, dy,
              rows, d, dx);
}

template void l2_normalize_forward(const float*, int64_t, int64_t, double, float*, float*, gpu::Stream);
template void l2_normalize_forward(const bf16*, int64_t, int64_t, double, float*, float*, gpu::Stream);
template void l2_normalize_backward(const float*, const float*, const float*, int64_t, int64_t, float*, gpu::Stream);
template void l2_normalize_backward(const float*, const float*, const float*, int64_t, int64_t, bf16*, gpu::Stream);

}  // namespace lookalike::cuda
