// A model is a network with everything that its use needs: the registry's name and options it was built from, and how
// images become its input. It travels as one safetensors file (docs/file-formats.md).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "engine/core/options.h"
#include "engine/data/preprocess.h"
#include "engine/data/seen_images.h"
#include "engine/eval/calibration.h"
#include "engine/nn/layers.h"
#include "engine/nn/network.h"

namespace lookalike {

// Ranges of the settings of networks: small enough that no product of a few of them overflows. What
// a whole network may take is up to size_of_model().
constexpr int64_t kMostChannels = 1 << 16, kMostKernel = 63;
constexpr double kLeastEpsilon = 1e-12;  // of a norm, under a root

struct Model {
  nlohmann::json config;  // [model] as resolved: name and every option
  Preprocess preprocess;
  std::unique_ptr<Network> network;
  SeenImages seen;
  std::optional<Calibration> calibration;
};

// What a network takes, as f32: its weights, and what its layers make of one image.
struct ModelSize {
  int64_t weight_bytes, activation_bytes;
  nlohmann::json config;  // as resolved
};
// The size of the network that build_model() would make, in no time and no memory. The same Errors;
// and one where the network does not fit into this machine's memory.
ModelSize size_of_model(const nlohmann::json& config, const Preprocess& preprocess,
                        const std::string& where);

// Builds the network that config["name"] names, with weights drawn from `seed`, and the head that config["head"] puts on it
// (head.cpp). config["center"]: they are taken minus a stored mean (center.h); config["whiten"]: they are whitened (whiten.h); config["similarity"], cosine or distance, is how they are
// compared. Unknown names, options and impossible
// sizes are Errors that begin with `where`.
Model build_model(const nlohmann::json& config, const Preprocess& preprocess, uint64_t seed, const std::string& where);

// A checkpoint written by training, or published weights by name (published_weights.h).
Model load_model(const std::string& name);

// The same of a checkpoint that was read from `path`, and the other way round.
struct Checkpoint;
Model model_of(const Checkpoint& checkpoint, const std::string& path);
Checkpoint checkpoint_of(const Model& model);

// Copies the tensors of a checkpoint, a file or published weights by name, that the model has too into it: weights to start from. Error when there are none, when one is of
// another shape, or when it was made for images prepared otherwise. Returns a line for people on what was taken.
std::string start_from(const std::string& name, Model& model);

// What an entry of the registry does: layers on a new network. `input` is [H,W,C].
using ModelFactory = void (*)(Options& options, const Shape& input, Initializer& init, Network& network);
void make_autoencoder(Options& options, const Shape& input, Initializer& init, Network& network);
void make_conv_encoder(Options& options, const Shape& input, Initializer& init, Network& network);
void make_convnet_bn(Options& options, const Shape& input, Initializer& init, Network& network);
void make_digits(Options& options, const Shape& input, Initializer& init, Network& network);
void make_efficientnet_lite0(Options& options, const Shape& input, Initializer& init, Network& network);
void make_efficientnet_lite1(Options& options, const Shape& input, Initializer& init, Network& network);
void make_efficientnet_lite2(Options& options, const Shape& input, Initializer& init, Network& network);
void make_resnet50(Options& options, const Shape& input, Initializer& init, Network& network);
void make_siamese_cnn(Options& options, const Shape& input, Initializer& init, Network& network);
void make_squeezenet(Options& options, const Shape& input, Initializer& init, Network& network);

// How many blocks each stage of EfficientNet-Lite0, 1 or 2 has.
std::vector<int64_t> efficientnet_lite_blocks(int variant);

// The end of a network for ImageNet: `pool` = avg or flatten makes rows of features, and with `classes` above 0 a layer "fc" makes logits
// of averaged ones, for the loss alone.
void add_pooling_and_classes(Options& options, Initializer& init, int64_t channels, Network& network);

// What the layers make of an image of shape `input`; Error where that is no row, beginning with `where`.
int64_t embedding_width(Network& network, const Shape& input, const std::string& where);

// Puts the head of a [model.head] section on a network for images of shape `input`.
void add_head(Options& options, const Shape& input, Initializer& init, Network& network);

}  // namespace lookalike
