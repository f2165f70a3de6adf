// ResNet50 (He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2016), with torchvision's names of tensors: a 7x7
// convolution and a 3x3 max pool, both of stride 2, then stages of bottleneck blocks, each with twice the channels of the last on
// half its rows and columns, then pooling to features.
//   options: variant = torchvision (the stride of a stage is in the 3x3 convolution) or keras (in the first 1x1; convolutions have
//            biases), norm_epsilon = 1e-5, with keras 1.001e-5, width = 64, blocks = [3, 4, 6, 3], pool = avg or flatten,
//            classes = 0: features alone; above 0 also as many logits for training
// Weights start as layers.h says (torchvision's start normal, by fan_out; the batch norm behind each takes their scale out).
#include "models/model.h"

namespace lookalike {
namespace {

constexpr int64_t kExpansion = 4;  // channels of a block's output to those inside

struct Style {
  bool stride_first, bias;
  double epsilon;
};

// Convolution "<conv>" of `kernel` x `kernel` and batch norm "<norm>", with ReLU or without.
void add_layer(Sequential& network, const std::string& conv, const std::string& norm, Initializer& init, int64_t in,
               int64_t out, int64_t kernel, int64_t stride, const Style& style, bool relu) {
  network.add<Conv2d>(conv, init, in, out, kernel, Conv2dOptions{.stride = stride, .padding = kernel / 2}, style.bias);
  network.add<BatchNorm>(
      norm, out,
      BatchNormOptions{.epsilon = style.epsilon, .activation = {relu ? ActivationKind::relu : ActivationKind::none}});
}

// ReLU of x, or where the shape changes a projection of it, plus three convolutions of x: 1x1, 3x3, 1x1.
class Bottleneck : public Module {
 public:
  Bottleneck(Initializer& init, int64_t in, int64_t width, int64_t stride, const Style& style) {
    const int64_t out = kExpansion * width;
    add_layer(path_, "conv1", "bn1", init, in, width, 1, style.stride_first ? stride : 1, style, true);
    add_layer(path_, "conv2", "bn2", init, width, width, 3, style.stride_first ? 1 : stride, style, true);
    add_layer(path_, "conv3", "bn3", init, width, out, 1, 1, style, false);
    if (in != out || stride != 1) add_layer(shortcut_, "0", "1", init, in, out, 1, stride, style, false);
  }
  Variable forward(const Variable& x, const Mode& mode) override {
    return path_.forward_plus(x, shortcut_.forward(x, mode), {ActivationKind::relu}, mode);
  }
  void collect(const std::string& prefix, NetworkState& state) const override {
    path_.collect(prefix, state);
    shortcut_.collect(prefix + "downsample.", state);
  }
  void fold() override { path_.fold(), shortcut_.fold(); }

 private:
  Sequential path_, shortcut_;
};

}  // namespace

void make_resnet50(Options& options, const Shape& input, Initializer& init, Network& network) {
  const bool keras = options.choice("variant", "torchvision", {"torchvision", "keras"}) == "keras";
  const double epsilon = options.number("norm_epsilon", keras ? 1.001e-5 : 1e-5, kLeastEpsilon, 1);
  const int64_t width = options.integer("width", 64, 1, kMostChannels);
  const auto blocks = options.integers("blocks", {3, 4, 6, 3}, 1, kMostItems);
  constexpr size_t kMostStages =
      12;  // more halve no image, and twice the channels of the last are too many
  check(!blocks.empty() && blocks.size() <= kMostStages,
        "{}: blocks has {} numbers, expected 1 to {}, one for each stage", options.where(),
        blocks.size(), +kMostStages);

  const Style style{.stride_first = keras, .bias = keras, .epsilon = epsilon};
  Sequential& layers = network.layers;
  add_layer(layers, "conv1", "bn1", init, input[2], width, 7, 2, style, true);
  layers.add<MaxPool>("maxpool", 3, 2, 1);
  int64_t channels = width, inside = width;
  for (size_t stage = 0; stage < blocks.size(); stage++, inside *= 2) {
    for (int64_t i = 0; i < blocks[stage]; i++) {
      const int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      layers.add<Bottleneck>(fmt::format("layer{}.{}", stage + 1, i), init, channels, inside, stride, style);
      channels = kExpansion * inside;
    }
  }
  add_pooling_and_classes(options, init, channels, network);
}

}  // namespace lookalike
