// The small Siamese network for digits and their like: 3x3 convolution of 32 filters, batch norm, 2x2 max pool; 64 filters, batch norm,
// 2x2 max pool; 128 filters without padding, batch norm, average pool over 5x5; linear to 64, batch norm, linear to the embedding, which is
// not normalised: distances are compared. The batch norm behind a convolution takes a bias out, so there is none.
//   options: filters = [32, 64, 128], dense = 64, embedding = 2, activation = none or relu (behind each batch norm)
#include "models/model.h"

namespace lookalike {

void make_digits(Options& options, const Shape& input, Initializer& init, Network& network) {
  const auto filters = options.integers("filters", {32, 64, 128}, 1, kMostChannels);
  const int64_t dense = options.integer("dense", 64, 1, kMostChannels),
                embedding = options.integer("embedding", 2, 1, kMostChannels);
  const bool relu = options.choice("activation", "none", {"none", "relu"}) == "relu";
  const Activation activation{relu ? ActivationKind::relu : ActivationKind::none};
  check(filters.size() == 3, "{}: {} filters, expected 3, one for each convolution", options.where(), filters.size());
  const int64_t height = (input[0] / 4 - 2) / 5, width = (input[1] / 4 - 2) / 5;
  check(height > 0 && width > 0, "{}: a {} x {} image is too small, expected 28 x 28 or more", options.where(),
        input[0], input[1]);
  int64_t channels = input[2];
  const auto block = [&](int i, int64_t padding, int64_t pool) {
    const int64_t out = filters[i - 1];
    network.layers.add<Conv2d>(fmt::format("conv{}", i), init, channels, out, 3, Conv2dOptions{.padding = padding},
                               false);
    network.layers.add<BatchNorm>(fmt::format("norm{}", i), out,
                                  BatchNormOptions{.activation = activation, .max_pool = pool});
    channels = out;
  };
  block(1, 1, 2);
  block(2, 1, 2);
  block(3, 0, 1);
  network.layers.add<AvgPool>("pool", 5);
  network.layers.add<Flatten>("flatten");
  network.layers.add<Linear>("dense", init, height * width * channels, dense);
  network.layers.add<BatchNorm>("norm4", dense, BatchNormOptions{.activation = activation});
  network.layers.add<Linear>("embedding", init, dense, embedding);
  network.similarity = Similarity::negative_distance;
}

}  // namespace lookalike
