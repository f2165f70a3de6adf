// Images through a network, in batches, without recording.
#pragma once

#include <span>

#include "engine/data/loader.h"
#include "engine/nn/module.h"

namespace lookalike {

// Embeddings [images.size(), D] of these images of the store, on the CPU; BatchNorm uses its running averages. The network
// must be on the device of `compute`.
Tensor embed(Module& network, const ImageStore& store, std::span<const int64_t> images, const Compute& compute = {});

// How many dimensions embeddings [N,D] use: the participation ratio (sum of l)^2 / (sum of l^2) of the eigenvalues l of their covariance,
// from 1 (all on a line) to D.
double embedding_rank(const Tensor& embeddings);

}  // namespace lookalike
