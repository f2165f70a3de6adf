// SqueezeNet 1.1 (Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and
// <0.5MB model size", 2016), with the names of its Keras port: a 3x3 convolution of stride 2 and fire modules, three max pools of 3x3 and
// stride 2 between them, then the average of fire9's channels. No window reaches beyond the image.
//   options: classes = 0: features; above 0 as many logits in their place, the average of a last convolution, which has no features before
//            its pooling
#include "engine/ops/concat.h"
#include "models/model.h"

namespace lookalike {
namespace {

struct Block {
  int64_t squeeze, expand;
  bool pool;  // before it
};
constexpr Block kFires[] = {
    // fire2 to fire9
    {16, 64, true},  {16, 64, false},  {32, 128, true},  {32, 128, false},
    {48, 192, true}, {48, 192, false}, {64, 256, false}, {64, 256, false},
};

// Few channels, of which two convolutions make many: 1x1, and beside it 3x3.
class Fire : public Module {
 public:
  Fire(Initializer& init, int64_t in, int64_t squeeze, int64_t expand)
      : squeeze_(init, in, squeeze, 1, active(0)),
        expand1x1_(init, squeeze, expand, 1, active(0)),
        expand3x3_(init, squeeze, expand, 3, active(1)) {}
  Variable forward(const Variable& x, const Mode& mode) override {
    const Variable few = squeeze_.forward(x, mode);
    if (folded_ && !will_record({few, expand1x1_.conv().weight, expand3x3_.conv().weight}))
      return conv2d_side_by_side(few, expand1x1_.conv(), expand3x3_.conv());
    return concat_channels(expand1x1_.forward(few, mode), expand3x3_.forward(few, mode));
  }
  void collect(const std::string& prefix, NetworkState& state) const override {
    squeeze_.collect(prefix + "squeeze1x1.", state);
    expand1x1_.collect(prefix + "expand1x1.", state);
    expand3x3_.collect(prefix + "expand3x3.", state);
  }
  void fold() override {
    for (Conv2d* conv : {&squeeze_, &expand1x1_, &expand3x3_}) conv->fold();
    folded_ = true;
  }

 private:
  static Conv2dOptions active(int64_t padding) { return {.padding = padding, .activation = {ActivationKind::relu}}; }

  Conv2d squeeze_, expand1x1_, expand3x3_;
  bool folded_ = false;
};

}  // namespace

void make_squeezenet(Options& options, const Shape& input, Initializer& init, Network& network) {
  const int64_t classes = options.integer("classes", 0, 0, kMostChannels);
  constexpr int64_t kSmallest = 31;  // what leaves the last pool a window
  check(input[0] >= kSmallest && input[1] >= kSmallest, "{}: a {} x {} image is too small, expected {} x {} or more",
        options.where(), input[0], input[1], +kSmallest, +kSmallest);
  const Conv2dOptions stem{.stride = 2, .activation = {ActivationKind::relu}};
  Sequential& layers = network.layers;
  int64_t channels = 64, number = 2;
  layers.add<Conv2d>("conv1", init, input[2], channels, 3, stem);
  for (const Block& block : kFires) {
    if (block.pool) layers.add<MaxPool>(fmt::format("pool{}", number - 1), 3, 2, 0);
    layers.add<Fire>(fmt::format("fire{}", number++), init, channels, block.squeeze, block.expand);
    channels = 2 * block.expand;
  }
  if (classes > 0)
    layers.add<Conv2d>("conv10", init, channels, classes, 1, Conv2dOptions{.activation = {ActivationKind::relu}});
  layers.add<GridAvgPool>("pool", 1);
}

}  // namespace lookalike
