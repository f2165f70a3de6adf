// The convolutional encoder: blocks of 3x3 convolution, LeakyReLU and 2x2 max pooling, flattened; and the autoencoder, which training
// gives a decoder: 3x3 transposed convolutions of stride 2 with LeakyReLU, then a 3x3 convolution to the picture's logits.
//   options: filters = [32, 32, 32] (one block each), slope = 0.3; decoder = [16, 16, 16], of the autoencoder alone
#include "models/model.h"

namespace lookalike {

void make_conv_encoder(Options& options, const Shape& input, Initializer& init, Network& network) {
  const auto filters = options.integers("filters", {32, 32, 32}, 1, kMostChannels);
  const double slope = options.number("slope", 0.3, 0, 1);
  constexpr size_t kMostPoolings = 12;  // of an image of 4096 x 4096
  check(filters.size() <= kMostPoolings, "{}: {} filters, expected at most {}, each with a pooling",
        options.where(), filters.size(), +kMostPoolings);
  int64_t channels = input[2], factor = 1;
  for (size_t i = 0; i < filters.size(); i++, factor *= 2) {
    network.layers.add<Conv2d>(
        fmt::format("encoder.conv{}", i + 1), init, channels, filters[i], 3,
        Conv2dOptions{.padding = 1, .activation = {ActivationKind::leaky_relu, slope}, .max_pool = 2});
    channels = filters[i];
  }
  check(input[0] % factor == 0 && input[1] % factor == 0,
        "{}: a {} x {} image, expected multiples of {} for {} poolings", options.where(), input[0], input[1], factor,
        filters.size());
  network.layers.add<Flatten>("flatten");
}

void make_autoencoder(Options& options, const Shape& input, Initializer& init, Network& network) {
  make_conv_encoder(options, input, init, network);
  const auto filters = options.integers("filters", {32, 32, 32}, 1, kMostChannels),
             decoder = options.integers("decoder", {16, 16, 16}, 1, kMostChannels);
  const Activation activation{ActivationKind::leaky_relu, options.number("slope", 0.3, 0, 1)};
  check(decoder.size() == filters.size(), "{}: {} filters and {} of the decoder, expected as many of each",
        options.where(), filters.size(), decoder.size());
  const int64_t factor = int64_t{1} << filters.size();
  int64_t channels = filters.empty() ? input[2] : filters.back();
  auto head = std::make_unique<Sequential>();
  head->add<Unflatten>("decoder.unflatten", input[0] / factor, input[1] / factor, channels);
  for (size_t i = 0; i < decoder.size(); i++) {
    head->add<ConvTranspose2d>(fmt::format("decoder.conv{}", i + 1), init, channels, decoder[i], 3,
                               ConvTranspose2dOptions{.stride = 2, .output_padding = -1, .activation = activation});
    channels = decoder[i];
  }
  head->add<Conv2d>("decoder.output", init, channels, input[2], 3, Conv2dOptions{.padding = 1});
  network.training_head = std::move(head);
}

}  // namespace lookalike
