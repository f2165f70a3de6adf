// From image files to the batches a network sees. Images are decoded once and kept at the network's size with 8 bits a
// value; a thread augments and normalises batches ahead of the training step.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/data/augment.h"
#include "engine/data/pairs.h"
#include "engine/data/preprocess.h"
#include "engine/data/sampler.h"

namespace lookalike {

enum class OnCorrupt { stop, skip };

// Decoded images, height * width * channels bytes each.
class ImageStore {
 public:
  ImageStore() = default;
  // Decodes on all cores. Throws the Error of the first file that can't be read, or, with `skip`, goes on and keeps it.
  ImageStore(std::span<const std::string> files, const Preprocess& preprocess, OnCorrupt on_corrupt = OnCorrupt::stop);

  // Images that are decoded already, of the network's size and in its colour order, with the content hash of each.
  ImageStore(std::vector<uint8_t> pixels, std::vector<uint64_t> hashes, const Preprocess& preprocess);

  const Preprocess& preprocess() const { return preprocess_; }
  int64_t size() const { return std::ssize(errors_); }
  const uint8_t* pixels(int64_t image) const { return pixels_.data() + image * preprocess_.image_size(); }
  // content_hash() of the picture as it was decoded (image.h); 0 where it could not be read.
  uint64_t content_hash(int64_t image) const { return hashes_[image]; }
  // Why this image could not be read; empty where it could.
  const std::string& error(int64_t image) const { return errors_[image]; }
  // The numbers of all images.
  std::vector<int64_t> all() const;
  // These images, normalised: [images.size(), height, width, channels] of float.
  Tensor batch(std::span<const int64_t> images) const;

 private:
  Preprocess preprocess_;
  std::vector<uint8_t> pixels_;
  std::vector<uint64_t> hashes_;
  std::vector<std::string> errors_;
};

// Images with the class of each: what samples are drawn from.
struct Dataset {
  ImageStore images;
  std::vector<int32_t> labels;
  std::vector<std::string> skipped;      // a line for each image that could not be read
  std::vector<std::string> passed_over;  // a line for each folder with files that are no images
};

// Pairs of images, each in the store once. A group of pairs that share images is a class
// (groups_of_pairs).
struct PairData : Dataset {
  std::vector<Pair> pairs;
  std::vector<std::array<int64_t, 2>> samples;  // left and right image of each of `pairs`
  // The left (0) or right (1) images of these, each once, in the order of their first pair.
  std::vector<int64_t> images_of(int side) const;
};

// The pairs of `csv`, whose images lie in `folder`/left and `folder`/right. With `skip`, pairs with an image that is missing or
// damaged are left out.
PairData load_pairs(const std::string& folder, const std::string& csv, const Preprocess& preprocess,
                    OnCorrupt on_corrupt = OnCorrupt::stop);
// The same of pairs that were read from `csv` before.
PairData load_pairs(const std::string& folder, std::span<const Pair> pairs, const std::string& csv,
                    const Preprocess& preprocess, OnCorrupt on_corrupt = OnCorrupt::stop);

struct Batch {
  int64_t epoch, step;
  Tensor images;                // [2N, height, width, channels]: the first image of N samples, then the second of each
  std::vector<int32_t> labels;  // 2N, the class of each
  std::vector<Sample> samples;  // N
  // For the GPU, which makes the images from these.
  std::shared_ptr<uint8_t> pixels;
  std::vector<ImageDraw> draws;
};

// Endless batches of a sampler's samples. A batch depends on (seed, epoch, step) alone, so training that goes on from any
// position sees what it would have seen. What is left over at the end of an epoch, less than a batch, is dropped; a set
// smaller than a batch is one batch.
class Loader {
 public:
  // `data` must outlive the loader. Error when the sampler has no sample. Images come on the device of `compute` and in its type.
  // With `features`, one row for each image, batches hold these rows in place of images.
  Loader(const Dataset& data, Sampler sampler, int64_t batch_size, const Augmentation& augmentation, uint64_t seed,
         int64_t epoch = 0, int64_t step = 0, const Compute& compute = {}, Tensor features = {});
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  int64_t batch_size() const { return batch_size_; }
  int64_t steps_per_epoch() const { return sampler_.size / batch_size_; }
  // The batch of the current position, which moves on. Throws what went wrong while it was made.
  Batch next();

 private:
  void work();
  Batch make(int64_t epoch, int64_t step);
  Tensor make_on_gpu(const Batch& batch);

  static constexpr size_t kAhead = 2;

  const Dataset& data_;
  Sampler sampler_;
  Tensor features_;
  int64_t batch_size_;
  uint64_t seed_;
  int64_t epoch_, step_;
  Augmentation augmentation_;
  Compute compute_;
  Augmenter augmenter_;
  struct PinnedBlocks;
  std::shared_ptr<PinnedBlocks> pinned_;
  // Uploads under way, and the pixels that they read.
  std::deque<std::pair<gpu::Event, std::shared_ptr<uint8_t>>> uploads_;
  std::vector<Sample> order_;
  int64_t order_epoch_ = -1;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> ready_;
  std::exception_ptr error_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace lookalike
