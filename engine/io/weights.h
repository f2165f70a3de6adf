// Files of weights in any format that this program reads, told apart by their content.
#pragma once

#include <filesystem>
#include <string>

#include "engine/io/safetensors.h"

namespace lookalike {

struct Weights {
  std::string format;  // "PyTorch", "safetensors", "HDF5", "ONNX"
  TensorFile file;
};

Weights read_weights(const std::filesystem::path& path);

}  // namespace lookalike
