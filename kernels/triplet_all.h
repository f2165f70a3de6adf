// All triplets on the GPU: a part of cuda::triplet().
#pragma once

#include "kernels/triplet.h"

namespace lookalike::cuda {

int64_t all_triplets_workspace(int64_t m, int64_t d);
void all_triplets(const TripletParams& params, const float* e, int64_t m, int64_t d, const RowClasses& classes,
                  double scale, float* workspace, float* de, float* loss, DistanceSums* sums, gpu::Stream stream);

}  // namespace lookalike::cuda
