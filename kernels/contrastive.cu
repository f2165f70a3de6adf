// Two launches: a warp for each pair takes distance, loss and weight; then gradients are gathered (gpu/pair_loss.h).
// Reads two rows for each pair and once more for each end of it.
#include "kernels/contrastive.h"

#include "kernels/gpu/pair_loss.h"

namespace lookalike::cuda {
namespace {

__global__ void contrastive_pairs_kernel(ContrastiveParams params, const float* e, int64_t d, const RowPair* pairs,
                                         const PairLabel* labels, int64_t count, double scale, float* weights,
                                         DistanceSums* parts) {
  const double factor = params.half ? 0.5 : 1;
  double total = 0, positive = 0, negative = 0;  // of the warp, in its first lane
  int64_t active = 0;
  const int64_t step = int64_t{gridDim.x} * (gpu::kListThreads / gpu::kWarp);
  for (int64_t q = (int64_t{blockIdx.x} * gpu::kListThreads + threadIdx.x) / gpu::kWarp; q < count; q += step) {
    const double squared = gpu::warp_distance(e + pairs[q].i * d, e + pairs[q].j * d, d);
    if (threadIdx.x % gpu::kWarp != 0) continue;
    const double distance = sqrt(squared);
    double loss, slope;  // slope: d loss / d D^2
    if (labels[q] == PairLabel::similar) {
      loss = squared, slope = 1;
      positive += distance;
    } else {
      if (params.hinge == Hinge::squared) {
        loss = params.margin * params.margin - squared, slope = -1;
      } else {
        const double gap = params.margin - distance;
        loss = gap <= 0 ? 0 : gap * gap, slope = distance > 0 ? -gap / distance : 0;
      }
      if (loss <= 0) loss = slope = 0;  // NaN passes: a broken network must show
      negative += distance;
    }
    total += factor * loss;
    active += loss > 0;
    weights[q] = static_cast<float>(2 * scale * factor * slope);
  }
  gpu::store_block_sums(total, active, positive, negative, parts + blockIdx.x);
}

}  // namespace

int64_t contrastive_workspace(int64_t, int64_t, int64_t count) {
  return gpu::list_sums_floats(count) + count;
}

void contrastive(const ContrastiveParams& params, const float* e, int64_t m, int64_t d, const RowPair* pairs,
                 const PairLabel* labels, int64_t count, double scale, float* workspace, float* de, float* loss,
                 DistanceSums* sums, gpu::Stream stream) {
  const int64_t blocks = gpu::list_blocks(count);
  auto* parts = reinterpret_cast<DistanceSums*>(workspace);
  float* weights = workspace + gpu::list_sums_floats(count);
  gpu::launch({"contrastive_pairs", dim3(static_cast<unsigned>(blocks)), dim3(gpu::kListThreads), stream},
              contrastive_pairs_kernel, params, e, d, pairs, labels, count, scale, weights, parts);
  gpu::finish_pairs("contrastive_finish", e, m, d, pairs, weights, count, de, parts, blocks, scale, loss, sums, stream);
}

}  // namespace lookalike::cuda
