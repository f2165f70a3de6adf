#include "models/import_sources.h"

#include <algorithm>
#include <regex>

#include <fmt/format.h>

#include "models/model.h"

namespace lookalike {
namespace {

using nlohmann::json;

// The layer and the tensor of a Keras dataset: the path's part that `layer_of` knows, and its last part. What stands between them, and
// before, differs between versions. Empty where there is no such part.
std::string name_from_keras(const std::string& path, std::string (*layer_of)(const std::string& part),
                            const std::map<std::string, std::string>& leaves) {
  std::string layer;
  size_t begin = 0;
  for (size_t slash; layer.empty() && (slash = path.find('/', begin)) != std::string::npos; begin = slash + 1) {
    const std::string part = path.substr(begin, slash - begin);
    if (part.size() < 30) layer = layer_of(part);
  }
  const auto leaf = leaves.find(path.substr(path.rfind('/') + 1));
  return layer.empty() || leaf == leaves.end() ? "" : layer + "." + leaf->second;
}

// Our name of a dataset such as model_weights/conv2_block1_0_bn/gamma:0.
std::string resnet50_from_keras(const std::string& path) {
  return name_from_keras(path,
                         [](const std::string& part) -> std::string {
                           static const std::regex block("conv([2-9])_block([1-9])_([0-3])_(conv|bn)");
                           std::smatch match;
                           if (part == "conv1_conv" || part == "conv1_bn") return part == "conv1_bn" ? "bn1" : "conv1";
                           if (part == "predictions" || part == "probs") return "fc";
                           if (!std::regex_match(part, match, block)) return "";
                           const bool norm = match[4] == "bn";
                           const std::string layer =
                               fmt::format("layer{}.{}.", std::stoi(match[1]) - 1, std::stoi(match[2]) - 1);
                           return layer + (match[3] == "0" ? fmt::format("downsample.{}", norm ? 1 : 0)
                                                           : fmt::format("{}{}", norm ? "bn" : "conv", match[3].str()));
                         },
                         {{"kernel:0", "weight"},
                          {"bias:0", "bias"},  // of convolutions and the dense layer
                          {"gamma:0", "weight"},
                          {"beta:0", "bias"},
                          {"moving_mean:0", "running_mean"},
                          {"moving_variance:0", "running_var"}});
}

// Our name of a tensor of EfficientNet-Lite0, 1 or 2 such as _blocks.3._depthwise_conv.weight.
template <int variant>
std::string efficientnet_lite_from_torch(const std::string& name) {
  static const std::regex pattern(R"((?:_blocks\.([0-9]{1,2})\.)?_([a-z_]+[0-2]?)\.([a-z_]+))");
  static const std::map<std::string, std::string> outside{
      {"conv_stem", "stem.conv"}, {"bn0", "stem.norm"}, {"conv_head", "top.conv"}, {"bn1", "top.norm"}, {"fc", "fc"}},
      inside{{"expand_conv", "expand.conv"}, {"bn0", "expand.norm"},           {"depthwise_conv", "depthwise.conv"},
             {"bn1", "depthwise.norm"},      {"project_conv", "project.conv"}, {"bn2", "project.norm"}};
  static const std::vector<int64_t> blocks_of_stages = efficientnet_lite_blocks(variant);
  std::smatch match;
  if (name.size() > 60 || !std::regex_match(name, match, pattern)) return "";
  const auto& layers = match[1].matched ? inside : outside;
  const auto layer = layers.find(match[2]);
  if (layer == layers.end()) return "";
  const std::string rest = layer->second + "." + match[3].str();
  if (!match[1].matched) return rest;
  int64_t block = std::stoi(match[1]);
  int stage = 0;
  while (stage < 7 && block >= blocks_of_stages[stage]) block -= blocks_of_stages[stage++];
  return stage < 7 ? fmt::format("stage{}.{}.{}", stage + 1, block, rest) : "";
}

// Our name of a dataset such as fire2/squeeze1x1/fire2/squeeze1x1_W:0.
std::string squeezenet_from_keras(const std::string& path) {
  static const std::regex pattern("(?:.*/)?(?:(fire[2-9])/(squeeze1x1|expand1x1|expand3x3)|(conv10?))_([Wb]):0");
  std::smatch match;
  if (path.size() > 100 || !std::regex_match(path, match, pattern)) return "";
  const std::string layer = match[3].matched ? match[3].str() : match[1].str() + "." + match[2].str();
  return layer + (match[4] == "W" ? ".weight" : ".bias");
}

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

// HWIO kernels and [in, out] matrices.
Tensor from_keras(const std::string&, const Tensor& tensor) {
  if (tensor.dtype() != DType::f32) return tensor;
  if (tensor.shape().rank() == 4) return permute(tensor, {3, 0, 1, 2});
  return tensor.shape().rank() == 2 ? permute(tensor, {1, 0}) : tensor;
}

// OIHW kernels, of depthwise convolutions with one input channel.
Tensor from_torch(const std::string& ours, const Tensor& tensor) {
  if (tensor.dtype() != DType::f32 || tensor.shape().rank() != 4) return tensor;
  if (!ours.ends_with("depthwise.conv.weight") || tensor.shape()[1] != 1) return permute(tensor, {0, 2, 3, 1});
  const Tensor moved = permute(tensor, {2, 3, 0, 1});
  return moved.reshape({moved.shape()[0], moved.shape()[1], moved.shape()[2]});
}

bool is_counter(const std::string& name) {
  return name.ends_with(".num_batches_tracked");
}

Preprocess images_of(int64_t size, std::vector<float> mean, std::vector<float> std) {
  Preprocess result{.height = size, .width = size};
  for (float& value : mean) value /= 255;
  for (float& value : std) value /= 255;
  result.mean = std::move(mean), result.std = std::move(std);
  return result;
}

// Caffe's: blue first, minus the means of ImageNet.
Preprocess caffe_images(int64_t size) {
  Preprocess result = images_of(size, {103.939f, 116.779f, 123.68f}, {1, 1, 1});
  result.color_order = "bgr";
  return result;
}

ImportSource resnet50_source(const TensorFile& file) {
  const bool keras =
      std::ranges::any_of(file.tensors, [](const auto& of) { return !resnet50_from_keras(of.first).empty(); });
  if (keras)
    return {resnet50_from_keras,
            from_keras,
            [](const std::string& name) { return name.starts_with("optimizer_weights/"); },
            {{"name", "resnet50"}, {"variant", "keras"}},
            caffe_images(224),
            "fc"};
  Preprocess images{.height = 224, .width = 224};
  images.mean = {0.485f, 0.456f, 0.406f}, images.std = {0.229f, 0.224f, 0.225f};
  return {[](const std::string& name) { return name; },       from_torch, is_counter,
          {{"name", "resnet50"}, {"variant", "torchvision"}}, images,     "fc"};
}

template <int variant>
ImportSource efficientnet_lite_source(const TensorFile&) {
  constexpr int64_t kSizes[] = {224, 240, 260};
  return {efficientnet_lite_from_torch<variant>,
          from_torch,
          is_counter,
          {{"name", fmt::format("efficientnet_lite{}", variant)}},
          images_of(kSizes[variant], {127, 127, 127}, {128, 128, 128}),
          "fc"};
}

// Without its layer of classes, which would stand in the place of the features.
ImportSource squeezenet_source(const TensorFile&) {
  return {squeezenet_from_keras,
          from_keras,
          [](const std::string&) { return false; },
          {{"name", "squeezenet"}},
          caffe_images(227),
          "conv10",
          false};
}

}  // namespace

const std::map<std::string, ImportSource (*)(const TensorFile&)>& import_sources() {
  static const std::map<std::string, ImportSource (*)(const TensorFile&)> entries{
      {"efficientnet_lite0", efficientnet_lite_source<0>},
      {"efficientnet_lite1", efficientnet_lite_source<1>},
      {"efficientnet_lite2", efficientnet_lite_source<2>},
      {"resnet50", resnet50_source},
      {"squeezenet", squeezenet_source},
  };
  return entries;
}

}  // namespace lookalike
