// The plain Siamese CNN: two convolutions with ReLU and 2x2 max pooling, flatten, one dense layer, L2 normalise.
//   options: filters = [64, 128], kernels = [5, 3], dense = [] (hidden layers with ReLU), embedding = 128
#include "models/model.h"

namespace lookalike {

void make_siamese_cnn(Options& options, const Shape& input, Initializer& init, Network& network) {
  const auto filters = options.integers("filters", {64, 128}, 1, kMostChannels);
  const auto kernels = options.integers("kernels", {5, 3}, 1, kMostKernel);
  const auto dense = options.integers("dense", {}, 1, kMostChannels);
  const int64_t embedding = options.integer("embedding", 128, 1, kMostChannels);
  check(filters.size() == kernels.size(), "{}: {} filters and {} kernels, expected as many of each", options.where(),
        filters.size(), kernels.size());

  Sequential& layers = network.layers;
  int64_t height = input[0], width = input[1], channels = input[2];
  for (size_t i = 0; i < filters.size(); i++) {
    check(kernels[i] % 2 == 1, "{}: kernel {} is even, expected odd ones", options.where(), kernels[i]);
    const Conv2dOptions conv{.padding = kernels[i] / 2, .activation = {ActivationKind::relu}, .max_pool = 2};
    layers.add<Conv2d>(fmt::format("conv{}", i + 1), init, channels, filters[i], kernels[i], conv);
    height /= 2, width /= 2, channels = filters[i];
  }
  check(height > 0 && width > 0, "{}: a {} x {} image is too small for {} poolings", options.where(), input[0],
        input[1], filters.size());
  layers.add<Flatten>("flatten");
  int64_t features = height * width * channels;
  for (size_t i = 0; i < dense.size(); i++) {
    layers.add<Linear>(fmt::format("dense{}", i + 1), init, features, dense[i], Activation{ActivationKind::relu});
    features = dense[i];
  }
  layers.add<Linear>("embedding", init, features, embedding);
  layers.add<L2Normalize>("normalize");
}

}  // namespace lookalike
