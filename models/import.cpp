#include "models/import.h"

#include <regex>

#include "engine/io/digest.h"
#include "engine/io/weight_file.h"
#include "engine/io/weights.h"
#include "models/model.h"
#include "weights_manifest.h"

namespace lookalike {
namespace {

using nlohmann::json;

// The characters of our names.
constexpr const char* kPlain = "abcdefghijklmnopqrstuvwxyz0123456789_.";

// The axes of a tensor of f32 in another order: axis i of the result is axis order[i] of `x`.
Tensor permute(const Tensor& x, const std::vector<int>& order) {
  const int rank = x.shape().rank();
  std::vector<int64_t> strides(rank, 1), extents(rank), steps(rank), index(rank, 0);
  for (int axis = rank - 1; axis-- > 0;) strides[axis] = strides[axis + 1] * x.shape()[axis + 1];
  for (int axis = 0; axis < rank; axis++) extents[axis] = x.shape()[order[axis]], steps[axis] = strides[order[axis]];
  Tensor y{Shape(extents)};
  const float* from = x.data<float>();
  float* to = y.data<float>();
  int64_t at = 0;
  for (int64_t i = 0; i < y.size(); i++) {
    to[i] = from[at];
    for (int axis = rank; axis-- > 0;) {
      at += steps[axis];
      if (++index[axis] < extents[axis]) break;
      at -= steps[axis] * extents[axis];
      index[axis] = 0;
    }
  }
  return y;
}

// Our name of a Keras dataset such as model_weights/conv2_block1_0_bn/gamma:0; empty where it is none of ResNet50's.
std::string name_from_keras(const std::string& path) {
  static const std::regex block("conv([2-9])_block([1-9])_([0-3])_(conv|bn)");
  static const std::map<std::string, std::string> leaves{
      {"kernel:0", "weight"},
      {"bias:0", "bias"},  // of convolutions and the dense layer
      {"gamma:0", "weight"},
      {"beta:0", "bias"},
      {"moving_mean:0", "running_mean"},
      {"moving_variance:0", "running_var"},
  };
  // The layer's name comes first; what stands between it and the tensor's name differs between versions.
  std::string layer;
  size_t begin = 0;
  for (size_t slash; layer.empty() && (slash = path.find('/', begin)) != std::string::npos; begin = slash + 1) {
    const std::string part = path.substr(begin, slash - begin);
    std::smatch match;
    if (part == "conv1_conv" || part == "conv1_bn") {
      layer = part == "conv1_bn" ? "bn1" : "conv1";
    } else if (part == "predictions" || part == "probs") {
      layer = "fc";
    } else if (part.size() < 30 && std::regex_match(part, match, block)) {
      const bool norm = match[4] == "bn";
      layer = fmt::format("layer{}.{}.", std::stoi(match[1]) - 1, std::stoi(match[2]) - 1);
      layer += match[3] == "0" ? fmt::format("downsample.{}", norm ? 1 : 0)
                               : fmt::format("{}{}", norm ? "bn" : "conv", match[3].str());
    }
  }
  const auto leaf = leaves.find(path.substr(path.rfind('/') + 1));
  return layer.empty() || leaf == leaves.end() ? "" : layer + "." + leaf->second;
}

Tensor from_keras(const Tensor& tensor) {
  if (tensor.dtype() != DType::f32) return tensor;
  if (tensor.shape().rank() == 4) return permute(tensor, {3, 0, 1, 2});
  return tensor.shape().rank() == 2 ? permute(tensor, {1, 0}) : tensor;
}

Tensor from_torchvision(const Tensor& tensor) {
  return tensor.dtype() == DType::f32 && tensor.shape().rank() == 4 ? permute(tensor, {0, 2, 3, 1}) : tensor;
}

Preprocess preprocess_of(bool keras) {
  Preprocess result{.height = 224, .width = 224};
  result.mean = {0.485f, 0.456f, 0.406f};
  result.std = {0.229f, 0.224f, 0.225f};
  if (keras) {
    result.color_order = "bgr";
    result.mean = {103.939f / 255, 116.779f / 255, 123.68f / 255};
    result.std = {1.f / 255, 1.f / 255, 1.f / 255};
  }
  return result;
}

}  // namespace

Checkpoint to_resnet50(const TensorFile& file, const json& options, const std::string& path) {
  bool keras = false;
  for (const auto& [name, tensor] : file.tensors) keras = keras || !name_from_keras(name).empty();
  Checkpoint result;
  for (const auto& [name, tensor] : file.tensors) {
    if (keras ? name.starts_with("optimizer_weights/") : name.ends_with(".num_batches_tracked")) continue;
    std::string ours = keras ? name_from_keras(name) : name;
    // Left over; what else a file may call a tensor is not fit for a message.
    if (ours.empty() || ours.find_first_not_of(kPlain) != std::string::npos) ours = show_name(name);
    check(result.tensors.emplace(ours, keras ? from_keras(tensor) : from_torchvision(tensor)).second,
          "'{}': {} and another tensor are both {}", path, show_name(name), ours);
  }
  result.preprocess = preprocess_of(keras);
  json config = options;
  config["name"] = "resnet50";
  config["variant"] = keras ? "keras" : "torchvision";
  // As many classes as the file has; a shape that lies must not make a huge layer, so fewer columns than any network has count as none.
  const auto fc = result.tensors.find("fc.weight");
  const bool has_classes = fc != result.tensors.end() && fc->second.shape().rank() == 2 && fc->second.shape()[1] >= 64;
  config["classes"] = has_classes ? fc->second.shape()[0] : 0;
  // The network itself says which tensors it needs.
  const Model model = build_model(config, result.preprocess, 0, path);
  restore(result, state_of(*model.network), path);
  result.model = model.config;
  return result;
}

Checkpoint import_weights(const std::string& path, const std::string& model) {
  check(model == "resnet50", "--model is '{}', expected resnet50", model);
  return to_resnet50(read_weights(path).file, json::object(), path);
}

json weights_manifest() {
  return json::parse(kWeightsManifest);
}

std::string recognise_weights(const std::string& path, const json& manifest) {
  const InputFile file(path);
  for (const json& entry : manifest) {
    const std::string about = entry.at("about"), kind = entry.contains("sha256") ? "sha256" : "md5";
    const bool same_size = entry.at("bytes") == file.size(),
               same_name = entry.at("file") == file.path().filename().string();
    if (!same_size && !same_name) continue;
    const std::string hash = kind == "md5" ? md5(file) : sha256(file);
    if (entry.at(kind) == hash)
      return fmt::format("{}: {} ({} {}); licence: {}", path, about, kind, hash,
                         entry.at("licence").get<std::string>());
    if (same_name)
      return fmt::format("{}: not the published {}, whose name it has: {} {}, expected {}", path, about, kind, hash,
                         entry.at(kind).get<std::string>());
  }
  return fmt::format("{}: not in the manifest (sha256 {})", path, sha256(file));
}

}  // namespace lookalike
