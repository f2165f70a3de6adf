// Exact search: for each query the k rows of a database with the largest dot products (on unit rows, cosines). Scores
// rank falling, equal ones by lower index; NaN counts as -infinity.
//
// The CPU's version is search_top_k() in engine/eval/retrieval.h.
#pragma once

#include <cstdint>

#include "kernels/gpu/device.h"

namespace lookalike::cuda {

constexpr int64_t kTopKMost = 1024;

// Elements of the workspace: O(q k), with one wave of blocks as the bound for many queries.
int64_t top_k_workspace(int64_t q, int64_t n, int64_t k);
// queries[q, d], database[n, d] -> scores[q, k], indices[q, k], overwritten, best first.
// 1 <= k <= min(n, kTopKMost), n < 2^31.
void top_k(const float* queries, const float* database, int64_t q, int64_t n, int64_t d, int64_t k, uint64_t* workspace,
           float* scores, int64_t* indices, gpu::Stream stream);

}  // namespace lookalike::cuda
