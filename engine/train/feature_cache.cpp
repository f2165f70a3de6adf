#include "engine/train/feature_cache.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "engine/io/safetensors.h"
#include "engine/core/progress.h"

namespace lookalike {
namespace {

// FNV-1a over words of eight bytes, the last one filled up with zeros.
class KeyHash {
 public:
  void add(const void* data, size_t bytes) {
    const auto* at = static_cast<const char*>(data);
    for (size_t i = 0; i < bytes; i += 8) {
      uint64_t word = 0;
      std::memcpy(&word, at + i, std::min<size_t>(8, bytes - i));
      value_ = (value_ ^ word) * 0x100000001B3;
      value_ ^= value_ >> 29;  // the product alone never brings high bits down
    }
  }
  void add(const std::string& text) {
    const uint64_t size = text.size();
    add(&size, sizeof(size));
    add(text.data(), text.size());
  }
  void add(const std::string& name, const Tensor& tensor) {
    const Tensor here = tensor.to(Device::cpu);
    add(name + here.shape().to_string());
    add(here.raw(), here.bytes());
  }
  std::string hex() const { return fmt::format("{:016x}", value_); }

 private:
  uint64_t value_ = 0xCBF29CE484222325;
};

std::string key_of(const Network& network, const std::string& model, const ImageStore& images, const Compute& compute) {
  KeyHash hash;
  hash.add(fmt::format("{} {} {}", name_of(compute.device), static_cast<int>(compute.precision),
                       static_cast<int>(compute.conv)));
  hash.add(model);
  for (const std::string& name : network.frozen_names()) hash.add(name);
  const NetworkState state = network.frozen_state();
  for (const Parameter& parameter : state.parameters) hash.add(parameter.name, parameter.variable.value());
  for (const Buffer& buffer : state.buffers) hash.add(buffer.name, buffer.variable.value());
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
