// Images through a network, in batches, without recording.
#pragma once

#include <span>

#include "engine/data/loader.h"
#include "engine/nn/module.h"

namespace lookalike {

// Embeddings [images.size(), D] of these images of the store; BatchNorm uses its running averages.
Tensor embed(Module& network, const ImageStore& store, std::span<const int64_t> images);

}  // namespace lookalike
