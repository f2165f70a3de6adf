// A network against recorded activations of another program's, layer by layer.
#pragma once

#include <string>
#include <vector>

#include "engine/io/safetensors.h"
#include "engine/nn/network.h"

namespace lookalike {

struct StageError {
  std::string name;
  double error;  // largest difference over the largest magnitude that was expected
};

// Runs the network's layers and its training head in evaluation on the reference's "input" [N,H,W,C], prepared already, and compares the
// output of each layer NAME with the tensor "stage.NAME", where there is one: [N,H,W,C] or [N,D]. Error, beginning with `path`, where the reference has no stages, one that
// the network has not, or another shape.
std::vector<StageError> stage_errors(Network& network, const TensorFile& reference, const std::string& path);

}  // namespace lookalike
