#include "models/published_weights.h"

#include <filesystem>

#include "engine/core/error.h"

namespace lookalike {

std::optional<std::string> find_weights(const std::string& model) {
  if (std::filesystem::exists(model)) return model;
  const std::string file = "weights/" + model + ".safetensors";
  if (std::filesystem::exists(file)) return file;
  return {};
}

std::string fetch_weights(const std::string& name) {
  if (const auto found = find_weights(name)) return *found;
  fail("{}: no such weights", name);
}

}  // namespace lookalike
