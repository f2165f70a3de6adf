// Name -> network. A new model is one file beside this one and one line here.
#include <algorithm>
#include <cmath>
#include <map>

#include "engine/core/names.h"
#include "engine/core/storage.h"
#include "engine/train/checkpoint.h"
#include "models/model.h"
#include "models/published_weights.h"
#include "models/whiten.h"

namespace lookalike {
namespace {

const std::map<std::string, ModelFactory>& registry() {
  static const std::map<std::string, ModelFactory> entries{
      {"autoencoder", make_autoencoder},
      {"conv_encoder", make_conv_encoder},
      {"convnet_bn", make_convnet_bn},
      {"digits", make_digits},
      {"efficientnet_lite0", make_efficientnet_lite0},
      {"efficientnet_lite1", make_efficientnet_lite1},
      {"efficientnet_lite2", make_efficientnet_lite2},
      {"resnet50", make_resnet50},
      {"siamese_cnn", make_siamese_cnn},
      {"squeezenet", make_squeezenet},
  };
  return entries;
}

Model build(const nlohmann::json& config, const Preprocess& preprocess, Initializer& init,
            const std::string& where) {
  std::vector<std::string> names;
  for (const auto& [name, factory] : registry()) names.push_back(name);
  Options options(config, where);
  const std::string name = options.choice("name", "siamese_cnn", names);
  const Shape input{preprocess.height, preprocess.width, preprocess.channels};
  auto network = std::make_unique<Network>();
  registry().at(name)(options, input, init, *network);
  if (options.has("head")) {
    Options head = options.section("head");
    add_head(head, input, init, *network);
    options.add_section("head", head);
  }
  if (options.flag("center", false)) {
    const int64_t width = embedding_width(*network, input, where);
    network->layers.add<Center>("center", Tensor::zeros({width}));
  }
  if (options.has("whiten")) {
    const int64_t width = embedding_width(*network, input, where);
    Options whiten = options.section("whiten");
    const int64_t directions = whiten.integer("directions", width, 1, width);
    const Tensor mean = Tensor::zeros({width});
    network->layers.add<Whiten>("whiten", mean, mean.clone(), mean.clone(),
                                init.uniform({directions, width}, 1).value());
    if (directions != width) network->training_head = nullptr;  // which takes all of them
    options.add_section("whiten", whiten);
  }
  network->similarity =
      parse_similarity(options.choice("similarity", name_of(network->similarity), {"cosine", "distance"}));
  options.finish();
  return {options.resolved(), preprocess, std::move(network), {}};
}

// The size of what build() would make of at most `limit` weights.
ModelSize size_within(const nlohmann::json& config, const Preprocess& preprocess, int64_t limit,
                      const std::string& where) {
  constexpr int64_t kWeightBytes = size_of(DType::f32);
  const int64_t memory = machine_memory();
  try {
    Initializer shapes = Initializer::of_shapes(std::min(limit, memory / kWeightBytes));
    const Model model = build(config, preprocess, shapes, where);
    const ModelSize size{
        kWeightBytes * shapes.count(),
        model.network->activation_bytes({preprocess.height, preprocess.width, preprocess.channels}),
        model.config};
    check(size.activation_bytes <= memory - size.weight_bytes,
          "the network's weights take {} bytes and what it makes of one image {}, expected at most "
          "the {} that this machine has",
          size.weight_bytes, size.activation_bytes, memory);
    return size;
  } catch (const Error& error) {
    const std::string message = error.what();
    fail("{}{}", message.starts_with(where) ? "" : where + ": ", message);
  }
}

// Up to the digits that a recipe may leave out.
bool alike(const std::vector<float>& a, const std::vector<float>& b) {
  return std::ranges::equal(a, b, [](float x, float y) { return std::abs(x - y) <= 1e-6f * std::abs(y); });
}

}  // namespace

ModelSize size_of_model(const nlohmann::json& config, const Preprocess& preprocess,
                        const std::string& where) {
  return size_within(config, preprocess, std::numeric_limits<int64_t>::max(), where);
}

Model build_model(const nlohmann::json& config, const Preprocess& preprocess, uint64_t seed, const std::string& where) {
  size_of_model(config, preprocess, where);
  Initializer init(seed);
  return build(config, preprocess, init, where);
}

Model load_model(const std::string& name) {
  const std::string path = weights_file(name);
  return model_of(read_checkpoint(path), path);
}

Model model_of(const Checkpoint& checkpoint, const std::string& path) {
  // A small file must not make a huge network before its tensors are compared. The factor leaves room for a file that
  // lacks some, which restore() lists.
  int64_t elements = 0;
  for (const auto& [name, tensor] : checkpoint.tensors) elements += tensor.size();
  size_within(checkpoint.model, checkpoint.preprocess, 10 * elements, path);
  Initializer init(0);
  Model model = build(checkpoint.model, checkpoint.preprocess, init, path);
  restore(checkpoint, state_of(*model.network), path);
  if (const auto whitening = checkpoint.tensors.find("whiten.directions");
      whitening != checkpoint.tensors.end())
    check_directions(whitening->second, path);
  model.seen = checkpoint.seen;
  model.calibration = checkpoint.calibration;
  return model;
}

Checkpoint checkpoint_of(const Model& model) {
  return {.model = model.config,
          .recipe = {},
          .progress = {},
          .preprocess = model.preprocess,
          .tensors = tensors_of(state_of(*model.network)),
          .seen = model.seen,
          .calibration = model.calibration};
}

std::string start_from(const std::string& name, Model& model) {
  const std::string path = weights_file(name);
  const Checkpoint checkpoint = read_checkpoint(path);
  const Preprocess &its = checkpoint.preprocess, &ours = model.preprocess;
  check(its.channels == ours.channels && its.color_order == ours.color_order && alike(its.mean, ours.mean) &&
            alike(its.std, ours.std) && its.resize == ours.resize,
        "{}: made for images prepared as {}, the recipe's [input] is {}", path, to_json(its).dump(),
        to_json(ours).dump());
  // What a network computes with the same weights: its variant and numbers, not its layers or head.
  for (const char* key : {"variant", "norm_epsilon", "slope", "pool_after", "activation"}) {
    check(!checkpoint.model.contains(key) || !model.config.contains(key) || checkpoint.model[key] == model.config[key],
          "{}: made for {} = {}, the recipe's model has {}", path, key,
          checkpoint.model.value(key, nlohmann::json()).dump(), model.config.value(key, nlohmann::json()).dump());
  }
  int64_t taken = 0;
  std::vector<std::string> fresh;
  for (auto& [name, tensor] : tensors_of(state_of(*model.network))) {
    const auto found = checkpoint.tensors.find(name);
    if (found == checkpoint.tensors.end()) {
      fresh.push_back(name);
      continue;
    }
    check(found->second.shape() == tensor.shape() && found->second.dtype() == tensor.dtype(),
          "{}: {} is {} {}, the network's is {} {}", path, name, name_of(found->second.dtype()), found->second.shape(),
          name_of(tensor.dtype()), tensor.shape());
    check_values(name, found->second, path);
    Tensor(tensor).copy_from(found->second);
    taken++;
  }
  for (const Parameter& parameter : model.network->frozen_state().parameters) {
    check(std::ranges::find(fresh, parameter.name) == fresh.end(),
          "{}: lacks {}, which train.freeze would keep at random", path, parameter.name);
  }
  check(taken > 0, "{}: has none of the network's tensors ({}, ...)", path, fresh[0]);
  model.seen.add(checkpoint.seen);
  return fmt::format("starts from {}: {} tensors{}{}", path, taken,
                     fresh.empty() ? "" : "; new: ", some_of(fresh, " "));
}

}  // namespace lookalike
