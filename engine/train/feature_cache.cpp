#include "engine/train/feature_cache.h"

#include <algorithm>
#include <filesystem>

#include "engine/core/content_hash.h"
#include "engine/core/finite.h"
#include "engine/core/progress.h"
#include "engine/io/atomic_file.h"
#include "engine/io/safetensors.h"

namespace lookalike {
namespace {

void add(ContentHash& hash, const std::string& name, const Tensor& tensor) {
  const Tensor here = tensor.to(Device::cpu);
  hash.add(name + here.shape().to_string());
  hash.add(here.raw(), here.bytes());
}

std::string key_of(const Network& network, const std::string& model, const ImageStore& images, const Compute& compute) {
  ContentHash hash;
  hash.add("with its key and the hash of its features");  // as files of earlier versions were not
  hash.add(fmt::format("{} {} {}", name_of(compute.device), static_cast<int>(compute.precision),
                       static_cast<int>(compute.conv)));
  hash.add(model);
  for (const std::string& name : network.frozen_names()) hash.add(name);
  const NetworkState state = network.frozen_state();
  for (const Parameter& parameter : state.parameters) add(hash, parameter.name, parameter.variable.value());
  for (const Buffer& buffer : state.buffers) add(hash, buffer.name, buffer.variable.value());
  hash.add(to_json(images.preprocess()).dump());
  hash.add(images.pixels(0), images.size() * images.preprocess().image_size());
  return hash.hex();
}

// The metadata of a file: what its features are for, and what they are.
std::map<std::string, std::string> description_of(const std::string& key, const Tensor& features) {
  ContentHash hash;
  add(hash, "features", features);
  return {{"key", key}, {"features", hash.hex()}};
}

}  // namespace

Tensor cached_features(Network& network, const std::string& model, const ImageStore& images, const std::string& folder,
                       const Compute& compute) {
  namespace fs = std::filesystem;
  const std::string key = key_of(network, model, images, compute);
  const fs::path file = fs::path(folder) / (key + ".safetensors");
  NoGrad no_grad;
  const std::vector<int64_t> all = images.all();
  const auto features_of = [&](int64_t begin, int64_t end) {
    const Tensor batch = place_input(images.batch(std::span(all).subspan(begin, end - begin)), compute);
    return network.forward_frozen(Variable(batch)).value().to(Device::cpu).to(DType::f32);
  };
  if (fs::exists(file)) {
    const TensorFile kept = read_safetensors(file);
    const auto found = kept.tensors.find("features");
    const Shape expected = features_of(0, 1).shape().with_rows(images.size());
    check(found != kept.tensors.end() && found->second.dtype() == DType::f32 && found->second.shape() == expected,
          "{}: expected a tensor 'features', f32 {}; delete the file", file.string(), expected);
    const int64_t bad = first_row_not_finite(found->second);
    check(bad < 0, "{}: the features of image {} hold NaN or infinity; delete the file", file.string(), bad);
    check(kept.metadata == description_of(key, found->second),
          "{}: the features are not those that were written for these images and layers; delete "
          "the file",
          file.string());
    return found->second;
  }
  make_folders(folder);
  constexpr int64_t kBatch = 32;
  Progress progress;
  Tensor features;
  for (int64_t begin = 0; begin < images.size(); begin += kBatch) {
    const int64_t end = std::min(begin + kBatch, images.size());
    const Tensor out = features_of(begin, end);
    const int64_t bad = first_row_not_finite(out);
    check(bad < 0, "the frozen layers make NaN or infinity of image {}; expected weights that are finite (train.start)",
          begin + bad);
    if (!features.defined()) features = Tensor(out.shape().with_rows(images.size()));
    features.rows(begin, end).copy_from(out);
    progress.update(fmt::format("features of frozen layers: {} of {} images", end, images.size()));
  }
  TensorFile kept;
  kept.tensors["features"] = features;
  kept.metadata = description_of(key, features);
  try {
    write_safetensors(file, kept);
  } catch (const ClaimedError&) {
    // Another training is writing the same.
  }
  return features;
}

}  // namespace lookalike
