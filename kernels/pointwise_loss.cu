// Bound by memory: y and t read, dy written; a double for each 2048 elements is written and read again. Two launches. Sums:
// a thread's 8 elements in float, then in double, the block's threads and all blocks in order.
#include "kernels/gpu/add_parts.h"
#include "kernels/gpu/elementwise.h"
#include "kernels/pointwise_loss.h"

namespace lookalike::cuda {
namespace {

constexpr int kThreads = 256, kEach = 8, kChunk = kThreads * kEach;

// A block takes kChunk elements, a thread runs of kRun of them.
template <int kRun, class T, class F>
__global__ void __launch_bounds__(kThreads)
    pointwise_loss_kernel(F f, const T* y, const T* t, int64_t n, float scale, double* parts, T* dy) {
  constexpr int kRuns = kEach / kRun;
  const int64_t first = int64_t{blockIdx.x} * kChunk;
  float sum = 0;
  gpu::Pack<T, kRun> ys[kRuns], ts[kRuns];
  const auto begin = [=](int r) { return first + (r * kThreads + static_cast<int>(threadIdx.x)) * kRun; };
#pragma unroll
  for (int r = 0; r < kRuns; r++) {
    if (begin(r) + kRun <= n) ys[r] = gpu::load<kRun>(y + begin(r)), ts[r] = gpu::load<kRun>(t + begin(r));
  }
#pragma unroll
  for (int r = 0; r < kRuns; r++) {
    if (begin(r) + kRun <= n) {
#pragma unroll
      for (int j = 0; j < kRun; j++) {
        const PointLoss<float> point = f(to_float(ys[r].x[j]), to_float(ts[r].x[j]));
        sum += point.loss;
        ys[r].x[j] = from_float<T>(scale * point.slope);
      }
      gpu::store(dy + begin(r), ys[r]);
    } else {
      for (int64_t i = begin(r); i < n; i++) {  // of the last run
        const PointLoss<float> point = f(to_float(y[i]), to_float(t[i]));
        sum += point.loss;
        dy[i] = from_float<T>(scale * point.slope);
      }
    }
  }
  const double total = gpu::block_sum<kThreads>(static_cast<double>(sum));
  if (threadIdx.x == 0) parts[blockIdx.x] = total;
}

}  // namespace

int64_t pointwise_loss_workspace(int64_t n) {
  return gpu::ceil_divide<int64_t>(n, kChunk);
}

template <class T>
void pointwise_loss(PointwiseLoss kind, const T* y, const T* t, int64_t n, double scale, double* workspace, T* dy,
                    float* loss, gpu::Stream stream) {
  constexpr int kRun = 16 / sizeof(T);
  const int64_t blocks = pointwise_loss_workspace(n);
  with_pointwise_loss<float, ExactMath>(kind, [=](auto f) {
    const bool wide = gpu::aligned_to_16(y, t, dy);
    gpu::launch({"pointwise_loss", dim3(static_cast<unsigned>(blocks)), dim3(kThreads), stream},
                wide ? pointwise_loss_kernel<kRun, T, decltype(f)> : pointwise_loss_kernel<1, T, decltype(f)>, f, y, t,
                n, static_cast<float>(scale), workspace, dy);
  });
  gpu::add_parts("pointwise_loss_sum", workspace, blocks, scale, loss, stream);
}

template void pointwise_loss(PointwiseLoss, const float*, const float*, int64_t, double, double*, float*, float*,
                             gpu::Stream);
template void pointwise_loss(PointwiseLoss, const bf16*, const bf16*, int64_t, double, double*, bf16*, float*,
                             gpu::Stream);

}  // namespace lookalike::cuda
