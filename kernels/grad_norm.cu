// Every gradient read once: a sum of squares for each chunk, then one block adds them up in order. In double throughout, as
// squares of gradients pass the range of float; the memory is slower still.
#include "kernels/gpu/elementwise.h"
#include "kernels/gpu/reduce.h"
#include "kernels/gpu/tensor_table.h"
#include "kernels/grad_norm.h"

namespace lookalike::cuda {
namespace {

constexpr int kThreads = 256;

template <class Table>
__global__ void __launch_bounds__(kThreads) squares_kernel(const __grid_constant__ Table table, double* sums) {
  const int chunk = static_cast<int>(blockIdx.x), which = table.find(chunk);
  const GradTensor<float>& tensor = table.tensors[which];
  const int64_t begin = (chunk - table.first_chunk[which]) * gpu::kTableChunk;
  const int64_t end = min(begin + gpu::kTableChunk, tensor.size);
  double sum = 0;
  const auto add = [&](float g) { sum += static_cast<double>(g) * static_cast<double>(g); };
  const int64_t wide = reinterpret_cast<uintptr_t>(tensor.g) % 16 == 0 ? begin + (end - begin) / 4 * 4 : begin;
#pragma unroll 4
  for (int64_t i = begin + 4 * threadIdx.x; i < wide; i += 4 * kThreads) {
    const auto g = gpu::load<4>(tensor.g + i);
#pragma unroll
    for (int j = 0; j < 4; j++) add(g.x[j]);
  }
  for (int64_t i = wide + threadIdx.x; i < end; i += kThreads) add(tensor.g[i]);
  const double total = gpu::block_sum<kThreads>(sum);
  if (threadIdx.x == 0) sums[table.chunks_before + chunk] = total;
}

constexpr int kAddThreads = 1024;  // the fewest loads behind each other
__global__ void __launch_bounds__(kAddThreads)
    norm_kernel(int64_t chunks, const double* sums, double max_norm, double* norm, float* factor) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < chunks; i += kAddThreads) sum += sums[i];
  const double length = sqrt(gpu::block_sum<kAddThreads>(sum));
  if (threadIdx.x != 0) return;
  *norm = length;
  *factor = isfinite(length) && length > max_norm ? static_cast<float>(max_norm / (length + 1e-6)) : 1.0f;
}

}  // namespace

int64_t grad_norm_workspace(std::span<const GradTensor<float>> tensors) {
  return gpu::table_chunks(tensors);
}

void grad_norm(std::span<const GradTensor<float>> tensors, double max_norm, double* workspace, double* norm,
               float* factor, gpu::Stream stream) {
  gpu::for_tables(tensors, [&](const auto& table, int chunks) {
    using Table = std::decay_t<decltype(table)>;
    gpu::launch({"grad_norm_squares", dim3(static_cast<unsigned>(chunks)), dim3(kThreads), stream},
                squares_kernel<Table>, table, workspace);
  });
  gpu::launch({"grad_norm", dim3(1), dim3(kAddThreads), stream}, norm_kernel, gpu::table_chunks(tensors), workspace,
              max_norm, norm, factor);
}

}  // namespace lookalike::cuda
