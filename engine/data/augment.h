// Random changes to a training image, on the fly. They depend on the random stream alone, so an image looks the same
// whenever its (seed, epoch, sample, view) comes again. One affine warp with bilinear interpolation goes from 8 bits
// straight to the normalised floats of a batch; what lies outside the image is white.
#pragma once

#include <cstdint>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/core/options.h"
#include "engine/core/random.h"
#include "engine/data/preprocess.h"
#include "kernels/image_batch.h"

namespace lookalike {

struct Augmentation {
  float flip = 0;             // probability of a horizontal mirror image
  float shift = 0;            // at most this share of width and height, either way
  float scale = 0;            // factor from 1 - scale to 1 + scale
  float rotation = 0;         // degrees, either way
  float shear = 0;            // at most this many pixels from row to row, either way
  float brightness = 0;       // factor from 1 - brightness to 1 + brightness on all channels,
  float color = 0;            // and one from 1 - color to 1 + color for each; results are clipped to [0, 1]
  float channel_shuffle = 0;  // probability of channels in random order

  bool is_identity() const;
};

// The settings of a recipe's section, all 0 by default.
Augmentation read_augmentation(Options& options);

// What an augmented image gets, for a kernel that makes whole batches (kernels/image_batch.h).
ImageDraw draw_image(const Augmentation& augmentation, const Preprocess& preprocess, Random random);

// Augments one image at a time; holds the working memory for it, so each thread has its own.
class Augmenter {
 public:
  Augmenter(const Augmentation& augmentation, const Preprocess& preprocess);
  // preprocess.image_size() values of `pixels` to as many of `out`, which is overwritten.
  void apply(const uint8_t* pixels, Random random, float* out);

 private:
  template <int kChannels>
  void warp(const uint8_t* pixels, Random& random, float* out);

  Augmentation augmentation_;
  Preprocess preprocess_;
  bool identity_;
  std::vector<uint32_t> padded_;  // the image in a white frame, a pixel in one word
  std::vector<float> row_;        // one warped row, channel by channel
};

}  // namespace lookalike
