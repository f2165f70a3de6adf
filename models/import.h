// Published weights become a checkpoint of ours: formats, names and layouts of others mapped to a network of the registry, with the
// preprocessing that they were trained with. weights/manifest.json names the official files.
#pragma once

#include <string>

#include "engine/io/safetensors.h"
#include "engine/train/checkpoint.h"

namespace lookalike {

// Tensors of a ResNet50 as torchvision names them (OIHW kernels; num_batches_tracked is left out) or Keras (HWIO kernels, layers like
// conv2_block1_1_conv, in groups at will), with or without the classes' layer. `options` are those of the network that differ from the
// defaults. One Error, beginning with `path`, lists every tensor that is missing, left over or of another shape or type.
Checkpoint to_resnet50(const TensorFile& file, const nlohmann::json& options, const std::string& path);

// Reads a file of weights in any format for the model of that name and makes its checkpoint.
Checkpoint import_weights(const std::string& path, const std::string& model);

// weights/manifest.json, as it was when the program was built.
nlohmann::json weights_manifest();

// A line for people: which file of the manifest this is by its hash, that it only has the name of one, or that it is unknown.
std::string recognise_weights(const std::string& path, const nlohmann::json& manifest);

}  // namespace lookalike
