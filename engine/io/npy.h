// Arrays for NumPy: the .npy format, version 1.0 (numpy.lib.format), of little-endian float32 in row-major order.
#pragma once

#include <filesystem>

#include "engine/core/tensor.h"

namespace lookalike {

// Writes an f32 tensor of any shape, whole or not at all (atomic_file.h).
void write_npy(const std::filesystem::path& path, const Tensor& tensor);

// Reads a two-dimensional float32 array; anything else, or a file whose size disagrees with its header, is an Error.
Tensor read_npy(const std::filesystem::path& path);

}  // namespace lookalike
