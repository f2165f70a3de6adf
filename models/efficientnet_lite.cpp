// EfficientNet-Lite0, 1 and 2 (Tan, Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019; the Lite variants
// of the TensorFlow team, 2020: ReLU6, no squeeze and excitation): a 3x3 convolution of stride 2, seven stages of inverted bottlenecks, a 1x1
// convolution to 1280 channels, then pooling to features. Padding is TensorFlow's. Scaling leaves the stem, the top and the number of blocks of the first
// and the last stage as they are.
//   options: norm_epsilon = 1e-3, norm_momentum = 0.01 (short runs from random weights want more; at 0 the averages stay, and training
//            takes them, too), pool = avg or flatten, classes = 0: features alone; above 0 also as many logits for training
#include <algorithm>
#include <cmath>
#include <iterator>

#include "engine/ops/inverted_bottleneck.h"
#include "models/model.h"

namespace lookalike {
namespace {

struct Stage {
  int64_t kernel, stride, expansion, channels, blocks;
};
constexpr Stage kStages[] = {
    {3, 1, 1, 16, 1},  {3, 2, 6, 24, 2},  {5, 2, 6, 40, 2},  {3, 2, 6, 80, 3},
    {5, 1, 6, 112, 3}, {5, 2, 6, 192, 4}, {3, 1, 6, 320, 1},
};
constexpr int64_t kStem = 32, kTop = 1280, kStride = 32;  // of the whole network

struct Scaling {
  double width, depth;
};
constexpr Scaling kScalings[] = {{1, 1}, {1, 1.1}, {1.1, 1.2}};  // Lite0, Lite1, Lite2

// Scaled channels are the nearest multiple of 8 that is not under nine tenths of them.
int64_t scaled_channels(int64_t channels, double width) {
  const double exact = static_cast<double>(channels) * width;
  const int64_t rounded = std::max<int64_t>(8, static_cast<int64_t>(exact + 4) / 8 * 8);
  return static_cast<double>(rounded) < 0.9 * exact ? rounded + 8 : rounded;
}

std::vector<Stage> stages_of(int variant) {
  const auto [width, depth] = kScalings[variant];
  std::vector<Stage> stages(std::begin(kStages), std::end(kStages));
  for (size_t i = 0; i < stages.size(); i++) {
    stages[i].channels = scaled_channels(stages[i].channels, width);
    if (i > 0 && i + 1 < stages.size())
      stages[i].blocks = static_cast<int64_t>(std::ceil(static_cast<double>(stages[i].blocks) * depth));
  }
  return stages;
}

class Builder {
 public:
  Builder(Initializer& init, const BatchNormOptions& norm) : init_(init), norm_(norm) {}

  void conv(Sequential& to, const std::string& name, int64_t in, int64_t out, int64_t kernel, int64_t stride,
            bool active) {
    to.add<Conv2d>(name + ".conv", init_, in, out, kernel, Conv2dOptions{.stride = stride, .same = true}, false);
    norm(to, name, out, active);
  }
  void depthwise(Sequential& to, const std::string& name, int64_t channels, int64_t kernel, int64_t stride) {
    to.add<DepthwiseConv2d>(name + ".conv", init_, channels, kernel,
                            DepthwiseConv2dOptions{.stride = stride, .same = true}, false);
    norm(to, name, channels, true);
  }

 private:
  void norm(Sequential& to, const std::string& name, int64_t channels, bool active) {
    BatchNormOptions options = norm_;
    options.activation = {active ? ActivationKind::relu6 : ActivationKind::none};
    to.add<BatchNorm>(name + ".norm", channels, options);
  }

  Initializer& init_;
  BatchNormOptions norm_;
};

// To more channels, over each of them, to few; x is added where the shape stays.
class InvertedBottleneck : public Module {
 public:
  InvertedBottleneck(Builder build, const Stage& stage, int64_t in, int64_t stride)
      : residual_(stride == 1 && in == stage.channels) {
    const int64_t inside = stage.expansion * in;
    if (stage.expansion > 1) build.conv(path_, "expand", in, inside, 1, 1, true);
    build.depthwise(path_, "depthwise", inside, stage.kernel, stride);
    build.conv(path_, "project", inside, stage.channels, 1, 1, false);
  }
  Variable forward(const Variable& x, const Mode& mode) override {
    return folded_ ? forward_folded(x, mode) : forward_layers(x, mode);
  }
  void collect(const std::string& prefix, NetworkState& state) const override { path_.collect(prefix, state); }
  void fold() override { path_.fold(), folded_ = true; }

 private:
  Variable forward_layers(const Variable& x, const Mode& mode) {
    return residual_ ? path_.forward_plus(x, x, {}, mode) : path_.forward(x, mode);
  }
  // What is left without batch norms are two or three convolutions.
  Variable forward_folded(const Variable& x, const Mode& mode) {
    const size_t last = path_.size() - 1;
    const PackedConv2d* expand = last == 2 ? &path_.layer<Conv2d>(0).conv() : nullptr;
    const auto& depthwise = path_.layer<DepthwiseConv2d>(last - 1);
    const PackedConv2d& project = path_.layer<Conv2d>(last).conv();
    if (will_record({x, expand ? expand->weight : x, depthwise.weight(), project.weight}))
      return forward_layers(x, mode);
    return inverted_bottleneck(x, expand, depthwise.weight(), depthwise.bias(), depthwise.options(), project,
                               residual_ ? x : Variable());
  }

  bool residual_, folded_ = false;
  Sequential path_;
};

void make_efficientnet_lite(int variant, Options& options, const Shape& input, Initializer& init, Network& network) {
  check(input[0] >= kStride && input[1] >= kStride, "{}: a {} x {} image is too small, expected {} x {} or more",
        options.where(), input[0], input[1], +kStride, +kStride);
  const BatchNormOptions norm{.momentum = options.number("norm_momentum", 0.01, 0, 1),
                              .epsilon = options.number("norm_epsilon", 1e-3, kLeastEpsilon, 1)};
  Builder build(init, norm);
  Sequential& layers = network.layers;
  build.conv(layers, "stem", input[2], kStem, 3, 2, true);
  int64_t channels = kStem, number = 1;
  for (const Stage& stage : stages_of(variant)) {
    for (int64_t i = 0; i < stage.blocks; i++) {
      layers.add<InvertedBottleneck>(fmt::format("stage{}.{}", number, i), build, stage, channels,
                                     i == 0 ? stage.stride : 1);
      channels = stage.channels;
    }
    number++;
  }
  build.conv(layers, "top", channels, kTop, 1, 1, true);
  add_pooling_and_classes(options, init, kTop, network);
}

}  // namespace

std::vector<int64_t> efficientnet_lite_blocks(int variant) {
  std::vector<int64_t> blocks;
  for (const Stage& stage : stages_of(variant)) blocks.push_back(stage.blocks);
  return blocks;
}

void make_efficientnet_lite0(Options& options, const Shape& input, Initializer& init, Network& network) {
  make_efficientnet_lite(0, options, input, init, network);
}

void make_efficientnet_lite1(Options& options, const Shape& input, Initializer& init, Network& network) {
  make_efficientnet_lite(1, options, input, init, network);
}

void make_efficientnet_lite2(Options& options, const Shape& input, Initializer& init, Network& network) {
  make_efficientnet_lite(2, options, input, init, network);
}

}  // namespace lookalike
