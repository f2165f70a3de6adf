// What the frozen layers of a network make of images, computed once and kept on disk.
#pragma once

#include <string>

#include "engine/data/loader.h"
#include "engine/nn/network.h"

namespace lookalike {

// Features [n, ...] of all images of the store, on the CPU: from `folder`, or computed and written there. The file is named after the
// content of all that they depend on: `model`, which describes the network, weights and images.
Tensor cached_features(Network& network, const std::string& model, const ImageStore& images, const std::string& folder,
                       const Compute& compute = {});

}  // namespace lookalike
