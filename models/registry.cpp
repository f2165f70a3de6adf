// Name -> network. A new model is one file beside this one and one line here.
#include <map>

#include "engine/train/checkpoint.h"
#include "models/model.h"

namespace lookalike {
namespace {

const std::map<std::string, ModelFactory>& registry() {
  static const std::map<std::string, ModelFactory> entries{
      {"siamese_cnn", make_siamese_cnn},
      {"convnet_bn", make_convnet_bn},
  };
  return entries;
}

Model build(const nlohmann::json& config, const Preprocess& preprocess, Initializer init, const std::string& where) {
  std::vector<std::string> names;
  for (const auto& [name, factory] : registry()) names.push_back(name);
  Options options(config, where);
  const std::string name = options.choice("name", "siamese_cnn", names);
  auto network = registry().at(name)(options, {preprocess.height, preprocess.width, preprocess.channels}, init);
  options.finish();
  return {options.resolved(), preprocess, std::move(network)};
}

}  // namespace

Model build_model(const nlohmann::json& config, const Preprocess& preprocess, uint64_t seed, const std::string& where) {
  return build(config, preprocess, Initializer(seed), where);
}

Model load_model(const std::string& path) {
  const Checkpoint checkpoint = read_checkpoint(path);
  // A small file must not make a huge network before its tensors are compared. The factor leaves room for a file that
  // lacks some, which restore() lists.
  int64_t elements = 0;
  for (const auto& [name, tensor] : checkpoint.tensors) elements += tensor.size();
  Model model = build(checkpoint.model, checkpoint.preprocess, Initializer(0, 10 * elements, path), path);
  restore(checkpoint, state_of(*model.network), path);
  return model;
}

}  // namespace lookalike
