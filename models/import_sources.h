// The published files that can be imported: whose names and layouts they have, and the preprocessing that they were trained with.
#pragma once

#include <map>
#include <string>

#include <nlohmann/json.hpp>

#include "engine/data/preprocess.h"
#include "engine/io/safetensors.h"

namespace lookalike {

// How the tensors of a file become a network's.
struct ImportSource {
  std::string (*name_of)(const std::string& theirs);  // ours; empty: none of the network's
  Tensor (*convert)(const std::string& ours, const Tensor& tensor);
  bool (*leave_out)(const std::string& theirs);
  nlohmann::json config;  // of the network
  Preprocess preprocess;
  std::string classes;       // the layer of classes
  bool keep_classes = true;  // unless asked to otherwise
};

// By the name of the network; the file tells variants apart.
const std::map<std::string, ImportSource (*)(const TensorFile& file)>& import_sources();

}  // namespace lookalike
