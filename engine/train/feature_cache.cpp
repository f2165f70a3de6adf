#include "engine/train/feature_cache.h"

#include <algorithm>
#include <filesystem>

#include "engine/core/content_hash.h"
#include "engine/io/safetensors.h"
#include "engine/train/progress.h"

namespace lookalike {
namespace {

void add(ContentHash& hash, const std::string& name, const Tensor& tensor) {
  const Tensor here = tensor.to(Device::cpu);
  hash.add(name + here.shape().to_string());
  hash.add(here.raw(), here.bytes());
}

std::string key_of(const Network& network, const std::string& model, const ImageStore& images, const Compute& compute) {
  ContentHash hash;
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

}  // namespace

Tensor cached_features(Network& network, const std::string& model, const ImageStore& images, const std::string& folder,
                       const Compute& compute) {
  namespace fs = std::filesystem;
  const fs::path file = fs::path(folder) / (key_of(network, model, images, compute) + ".safetensors");
  if (fs::exists(file)) {
    const TensorFile kept = read_safetensors(file);
    const auto found = kept.tensors.find("features");
    check(
        found != kept.tensors.end() && found->second.dtype() == DType::f32 && found->second.shape()[0] == images.size(),
        "{}: no features of {} images; delete the file", file.string(), images.size());
    return found->second;
  }
  fs::create_directories(folder);
  constexpr int64_t kBatch = 32;
  NoGrad no_grad;
  Progress progress;
  Tensor features;
  const std::vector<int64_t> all = images.all();
  for (int64_t begin = 0; begin < images.size(); begin += kBatch) {
    const int64_t end = std::min(begin + kBatch, images.size());
    const Tensor batch = place_input(images.batch(std::span(all).subspan(begin, end - begin)), compute);
    const Tensor out = network.forward_frozen(Variable(batch)).value().to(Device::cpu).to(DType::f32);
    if (!features.defined()) features = Tensor(out.shape().with_rows(images.size()));
    features.rows(begin, end).copy_from(out);
    progress.update(fmt::format("features of frozen layers: {} of {} images", end, images.size()));
  }
  TensorFile kept;
  kept.tensors["features"] = features;
  write_safetensors(file, kept);
  return features;
}

}  // namespace lookalike
