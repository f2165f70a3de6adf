// Bound by memory: c is read and written. A block takes up to 1024 columns of a row, then one block adds up.
#include "kernels/barlow_twins.h"
#include "kernels/gpu/add_parts.h"
#include "kernels/gpu/elementwise.h"

namespace lookalike::cuda {
namespace {

constexpr int kThreads = 256, kColumns = 4 * kThreads;

template <int kRun>
__global__ void __launch_bounds__(kThreads)
    barlow_twins_kernel(float* c, int64_t d, float share, float lambda, double* parts) {
  const int64_t row = blockIdx.x, first = int64_t{blockIdx.y} * kColumns;
  float diagonal = 0, squares = 0;
#pragma unroll
  for (int r = 0; r < kColumns / kThreads / kRun; r++) {
    const int64_t column = first + (r * kThreads + static_cast<int>(threadIdx.x)) * kRun;
    if (column >= d) break;
    auto values = gpu::load<kRun>(c + row * d + column);
#pragma unroll
    for (int j = 0; j < kRun; j++) {
      const float value = share * values.x[j], gap = 1 - value;
      const bool on_diagonal = column + j == row;
      diagonal += on_diagonal ? gap * gap : 0, squares += on_diagonal ? 0 : value * value;
      values.x[j] = 2 * share * (on_diagonal ? -gap : lambda * value);
    }
    gpu::store(c + row * d + column, values);
  }
  const double total = gpu::block_sum<kThreads>(static_cast<double>(diagonal) +
                                                static_cast<double>(lambda) * static_cast<double>(squares));
  if (threadIdx.x == 0) parts[row * gridDim.y + blockIdx.y] = total;
}

int64_t column_blocks(int64_t d) {
  return gpu::ceil_divide<int64_t>(d, kColumns);
}

}  // namespace

int64_t barlow_twins_workspace(int64_t d) {
  return d * column_blocks(d);
}

void barlow_twins(float* c, int64_t d, int64_t n, double lambda, double* workspace, float* loss, gpu::Stream stream) {
  const dim3 grid(static_cast<unsigned>(d), static_cast<unsigned>(column_blocks(d)));
  gpu::launch({"barlow_twins", grid, dim3(kThreads), stream},
              d % 4 == 0 && gpu::aligned_to_16(c) ? barlow_twins_kernel<4> : barlow_twins_kernel<1>, c, d,
              static_cast<float>(1 / static_cast<double>(n)), static_cast<float>(lambda), workspace);
  gpu::add_parts("barlow_twins_sum", workspace, barlow_twins_workspace(d), 1, loss, stream);
}

}  // namespace lookalike::cuda
