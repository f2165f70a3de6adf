// Published weights by name: where they lie on this machine, and how they get there.
#pragma once

#include <optional>
#include <string>

namespace lookalike {

// The file that `model` means: itself where it is a path that exists, else NAME.safetensors in the folders of weights where `model` is the name
// of published weights ("efficientnet_lite0"); nothing where there is no such file.
std::optional<std::string> find_weights(const std::string& model);

// The same, downloaded and imported first where it has to be. Error, one line, when that cannot be done.
std::string fetch_weights(const std::string& name);

}  // namespace lookalike
