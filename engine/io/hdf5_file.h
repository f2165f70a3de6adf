// Keras's files of weights (.h5), read by the HDF5 library where the build has it. For files that you trust: damaged HDF5 files have brought
// that library down more than once, and nothing here stands in front of it.
#pragma once

#include <filesystem>

#include "engine/io/safetensors.h"

namespace lookalike {

// Whether the build has the library.
bool has_hdf5();

// Every dataset of floating-point numbers, as f32, by its path without the first slash ("conv1_conv/conv1_conv/kernel:0"); others, such as
// an optimiser's counters, are left out. Error without the library.
TensorFile read_hdf5(const std::filesystem::path& path);

}  // namespace lookalike
