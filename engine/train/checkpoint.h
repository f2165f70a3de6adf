// A checkpoint: one safetensors file with the tensors of a network, how it was made, and, to resume from, the state of
// its training. docs/file-formats.md lists the metadata.
#pragma once

#include <map>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "engine/autograd/parameter.h"
#include "engine/data/preprocess.h"
#include "engine/data/seen_images.h"
#include "engine/eval/calibration.h"
#include "engine/io/safetensors.h"

namespace lookalike {

struct Checkpoint {
  nlohmann::json model;     // what the registry builds the network from
  nlohmann::json recipe;    // as resolved; null where the weights were not trained here
  nlohmann::json progress;  // position in the data, best result; null in a model that is not for resuming
  Preprocess preprocess;
  std::map<std::string, Tensor> tensors;  // of the network by name; of the optimiser with "optimizer/" before it
  SeenImages seen;
  std::optional<Calibration> calibration;  // of the scores that it gives
};

// Tensors on the GPU are brought over. Atomic: the file is either whole or not there.
void write_checkpoint(const std::string& path, const Checkpoint& checkpoint);
// Into a file that was opened before, which is complete after it.
void write_checkpoint(AtomicFile& out, const Checkpoint& checkpoint);
// Error naming the file when it is damaged or no checkpoint of this program.
Checkpoint read_checkpoint(const std::string& path);
// The same as the contents of a file, for one that holds a model and more; of what `path` has but
// for its format. The tensors are not checked against a network.
TensorFile file_of(const Checkpoint& checkpoint);
Checkpoint checkpoint_of(TensorFile file, const std::string& path);

// The network's tensors for a checkpoint; on whatever device the network is.
std::map<std::string, Tensor> tensors_of(const NetworkState& state);
// Error that names the tensor where it holds a NaN or an infinity, or variances (running_var) below
// 0.
void check_values(const std::string& name, const Tensor& tensor, const std::string& path);

// Copies a checkpoint's tensors into the network. One Error lists everything that is missing, left over or of another
// shape, or names the tensor that check_values() refuses.
void restore(const Checkpoint& checkpoint, const NetworkState& state, const std::string& path);

}  // namespace lookalike
