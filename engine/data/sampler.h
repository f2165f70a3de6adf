// Which two images make each sample of an epoch, and in which order. An epoch's samples depend on the seed and its number alone.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace lookalike {

struct Sample {
  int64_t id;  // names the sample within its epoch: what its augmentation is drawn from
  std::array<int64_t, 2> images;
  bool operator==(const Sample&) const = default;
};

struct Sampler {
  int64_t size = 0;  // samples an epoch
  std::function<std::vector<Sample>(int64_t epoch)> epoch;
};

// The given pairs of images, each once, shuffled. Given the class of each image, the pairs of a
// class are spread evenly over the epoch, so that few of them meet in a batch, where some losses
// take all others for negatives.
Sampler pair_sampler(std::vector<std::array<int64_t, 2>> pairs, uint64_t seed,
                     std::span<const int32_t> labels = {});
// Each of `images` twice over, as two views of itself, shuffled; the views differ by their augmentation.
Sampler view_sampler(std::vector<int64_t> images, uint64_t seed);
// Two images of one class; an epoch takes every image once (the last of an odd number is left out), round by round: a round
// holds one sample of each class that has images left, so that samples near each other are of different classes.
Sampler class_sampler(std::span<const int32_t> labels, uint64_t seed);
// As many samples as images: each image with a random other one, of its own class or of another with equal chance.
Sampler same_different_sampler(std::span<const int32_t> labels, uint64_t seed);

// Batches with their hardest negatives in them: `hardest[i]` is the number, in `pairs`, of the pair that holds the nearest wrong image
// of pair i. Half of each batch follows the shuffled order, and the hardest of each of these comes with it as far as there is room; none is twice in a batch.
std::vector<Sample> mined_epoch(std::span<const std::array<int64_t, 2>> pairs, std::span<const int64_t> hardest,
                                int64_t batch_size, uint64_t seed, int64_t epoch);

// An epoch's samples, images of one class each, such that no batch (nor what is left over behind the last one) is of one class
// alone, as far as there are others: where one would be, the samples of the largest class and the others are spread evenly over
// the epoch, and where these are fewer than the batches, some of them come again in place of samples of the largest class,
// which this epoch then goes without. The size stays, and so does the order where all batches are mixed.
std::vector<Sample> mix_batches(std::vector<Sample> samples, std::span<const int32_t> labels, int64_t batch_size);

}  // namespace lookalike
