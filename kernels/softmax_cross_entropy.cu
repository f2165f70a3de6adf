// Two launches: a warp for each row reads it three times, from the cache but for the first, and writes its gradient; then one
// block adds up.
#include "kernels/gpu/elementwise.h"
#include "kernels/gpu/pair_loss.h"
#include "kernels/softmax_cross_entropy.h"

namespace lookalike::cuda {
namespace {

__device__ inline float warp_max(float value) {
#pragma unroll
  for (int distance = gpu::kWarp / 2; distance > 0; distance /= 2)
    value = fmaxf(value, __shfl_xor_sync(gpu::kAllLanes, value, distance));
  return value;
}

template <int kRun, class T>
__global__ void __launch_bounds__(gpu::kListThreads)
    softmax_cross_entropy_kernel(const T* x, const int32_t* classes, int64_t n, int64_t c, double scale, T* dx,
                                 DistanceSums* parts) {
  const int lane = static_cast<int>(threadIdx.x) % gpu::kWarp;
  double total = 0;  // of the warp, in its first lane
  int64_t active = 0;
  const int64_t step = int64_t{gridDim.x} * (gpu::kListThreads / gpu::kWarp);
  for (int64_t i = (int64_t{blockIdx.x} * gpu::kListThreads + threadIdx.x) / gpu::kWarp; i < n; i += step) {
    const T* const from = x + i * c;
    const int64_t own = classes[i];
    const float own_logit = to_float(from[own]);
    float top = own_logit;
#pragma unroll 2
    for (int64_t j = kRun * lane; j < c; j += kRun * gpu::kWarp) {
      const auto values = gpu::load<kRun>(from + j);
#pragma unroll
      for (int r = 0; r < kRun; r++) top = fmaxf(top, to_float(values.x[r]));
    }
    top = warp_max(top);
    float sum = 0;
#pragma unroll 2
    for (int64_t j = kRun * lane; j < c; j += kRun * gpu::kWarp) {
      const auto values = gpu::load<kRun>(from + j);
#pragma unroll
      for (int r = 0; r < kRun; r++) sum += expf(to_float(values.x[r]) - top);
    }
    sum = gpu::warp_sum(sum);
    const float factor = static_cast<float>(scale) / sum;
#pragma unroll 2
    for (int64_t j = kRun * lane; j < c; j += kRun * gpu::kWarp) {
      auto values = gpu::load<kRun>(from + j);
#pragma unroll
      for (int r = 0; r < kRun; r++) {
        const float share = factor * expf(to_float(values.x[r]) - top);
        values.x[r] = from_float<T>(j + r == own ? share - static_cast<float>(scale) : share);
      }
      gpu::store(dx + i * c + j, values);
    }
    if (lane != 0) continue;
    total += static_cast<double>(logf(sum)) + (static_cast<double>(top) - static_cast<double>(own_logit));
    active += own_logit < top;
  }
  gpu::store_block_sums(total, active, 0, 0, parts + blockIdx.x);
}

__global__ void __launch_bounds__(gpu::kListThreads)
    add_parts_kernel(const DistanceSums* parts, int64_t count, double scale, float* loss, DistanceSums* sums) {
  gpu::add_block_sums(parts, count, scale, loss, sums);
}

}  // namespace

int64_t softmax_cross_entropy_workspace(int64_t n) {
  return gpu::list_blocks(n) * static_cast<int64_t>(sizeof(DistanceSums));
}

template <class T>
void softmax_cross_entropy(const T* x, const int32_t* classes, int64_t n, int64_t c, double scale, void* workspace,
                           T* dx, float* loss, DistanceSums* sums, gpu::Stream stream) {
  constexpr int kRun = 16 / sizeof(T);
  const int64_t blocks = gpu::list_blocks(n);
  auto* parts = static_cast<DistanceSums*>(workspace);
  const bool wide = c % kRun == 0 && gpu::aligned_to_16(x, dx);
  gpu::launch({"softmax_cross_entropy", dim3(static_cast<unsigned>(blocks)), dim3(gpu::kListThreads), stream},
              wide ? softmax_cross_entropy_kernel<kRun, T> : softmax_cross_entropy_kernel<1, T>, x, classes, n, c,
              scale, dx, parts);
  gpu::launch({"softmax_cross_entropy_sum", dim3(1), dim3(gpu::kListThreads), stream}, add_parts_kernel, parts, blocks,
              scale, loss, sums);
}

template void softmax_cross_entropy(const float*, const int32_t*, int64_t, int64_t, double, void*, float*, float*,
                                    DistanceSums*, gpu::Stream);
template void softmax_cross_entropy(const bf16*, const int32_t*, int64_t, int64_t, double, void*, bf16*, float*,
                                    DistanceSums*, gpu::Stream);

}  // namespace lookalike::cuda
