// Blocks of 3x3 convolution, batch norm and LeakyReLU, some of them followed by 2x2 max pooling; average pool to a grid, flatten, one dense
// layer, L2 normalise. A grid of 1 is global average pooling and forgets where things are; a larger one keeps their rough places.
//   options: channels = [32, 32, 64, 64, 128, 128, 128] (one block each), pool_after = [2, 4, 6], slope = 0.1, grid = 1, embedding = 128
#include <algorithm>

#include "models/model.h"

namespace lookalike {

void make_convnet_bn(Options& options, const Shape& input, Initializer& init, Network& network) {
  const auto channels =
      options.integers("channels", {32, 32, 64, 64, 128, 128, 128}, 1, kMostChannels);
  const auto pool_after = options.integers("pool_after", {2, 4, 6}, 1, kMostItems);
  const double slope = options.number("slope", 0.1, 0, 1);
  const int64_t grid = options.integer("grid", 1, 1, kMostChannels);
  const int64_t embedding = options.integer("embedding", 128, 1, kMostChannels);
  const auto blocks = static_cast<int64_t>(channels.size());
  check(blocks > 0, "{}: channels is empty, expected one number for each block", options.where());
  for (int64_t block : pool_after) {
    check(block <= blocks, "{}: pool_after names block {}, there are {}", options.where(), block, blocks);
  }
  const auto pools = [&](int64_t block) { return std::count(pool_after.begin(), pool_after.end(), block) > 0; };
  int64_t height = input[0], width = input[1], poolings = 0;
  for (int64_t block = 1; block <= blocks; block++) {
    if (pools(block)) height /= 2, width /= 2, poolings++;
  }
  check(std::min(height, width) >= grid && height % grid == 0 && height == width,
        "{}: a {} x {} image is {} x {} after {} poolings, expected a square that {} divides", options.where(),
        input[0], input[1], height, width, poolings, grid);

  Sequential& layers = network.layers;
  int64_t in = input[2];
  for (int64_t i = 0; i < blocks; i++) {
    layers.add<Conv2d>(fmt::format("conv{}", i + 1), init, in, channels[i], 3, Conv2dOptions{.padding = 1}, false);
    layers.add<BatchNorm>(
        fmt::format("norm{}", i + 1), channels[i],
        BatchNormOptions{.activation = {ActivationKind::leaky_relu, slope}, .max_pool = pools(i + 1) ? 2 : 1});
    in = channels[i];
  }
  layers.add<GridAvgPool>("pool", grid);
  layers.add<Linear>("embedding", init, grid * grid * in, embedding);
  layers.add<L2Normalize>("normalize");
}

}  // namespace lookalike
