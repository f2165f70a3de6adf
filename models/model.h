// A model is a network with everything that its use needs: the registry's name and options it was built from, and how
// images become its input. It travels as one safetensors file (docs/file-formats.md).
#pragma once

#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "engine/core/options.h"
#include "engine/data/preprocess.h"
#include "engine/nn/layers.h"

namespace lookalike {

struct Model {
  nlohmann::json config;  // [model] as resolved: name and every option
  Preprocess preprocess;
  std::unique_ptr<Module> network;  // images [N,H,W,C] -> embeddings [N,D], rows of length 1
};

// Builds the network that config["name"] names, with weights drawn from `seed`. Unknown names, options and impossible
// sizes are Errors that begin with `where`.
Model build_model(const nlohmann::json& config, const Preprocess& preprocess, uint64_t seed, const std::string& where);

// A checkpoint written by training.
Model load_model(const std::string& path);

// What an entry of the registry does: `input` is [H,W,C].
using ModelFactory = std::unique_ptr<Module> (*)(Options& options, const Shape& input, Initializer& init);
std::unique_ptr<Module> make_siamese_cnn(Options& options, const Shape& input, Initializer& init);
std::unique_ptr<Module> make_convnet_bn(Options& options, const Shape& input, Initializer& init);

}  // namespace lookalike
