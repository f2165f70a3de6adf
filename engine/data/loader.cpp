#include "engine/data/loader.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "engine/core/dispatch.h"
#include "engine/core/error.h"
#include "engine/core/progress.h"
#include "engine/data/image_files.h"
#include "kernels/parallel.h"

namespace lookalike {

ImageStore::ImageStore(std::span<const std::string> files, const Preprocess& preprocess, OnCorrupt on_corrupt)
    : preprocess_(preprocess),
      pixels_(files.size() * preprocess.image_size()),
      hashes_(files.size()),
      errors_(files.size()) {
  ProgressCount progress("decoding", "images", std::ssize(files));
  cpu::parallel_for(std::ssize(files), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      try {
        const Image decoded = read_image(files[i], 3), image = prepare_image(decoded, preprocess_);
        hashes_[i] = lookalike::content_hash(decoded);
        std::copy(image.pixels.begin(), image.pixels.end(), pixels_.begin() + i * preprocess_.image_size());
      } catch (const Error& error) {
        errors_[i] = error.what();
      }
      progress.add();
    }
  });
  if (on_corrupt == OnCorrupt::skip) return;
  const auto first = std::ranges::find_if(errors_, [](const std::string& error) { return !error.empty(); });
  const auto bad = std::ranges::count_if(errors_, [](const std::string& error) { return !error.empty(); });
  if (bad == 0) return;
  check(size() > 1, "{}", *first);
  fail("{} ({} of {} images can't be read; --skip-corrupt leaves such ones out)", *first, bad, size());
}

ImageStore::ImageStore(std::vector<uint8_t> pixels, std::vector<uint64_t> hashes, const Preprocess& preprocess)
    : preprocess_(preprocess), pixels_(std::move(pixels)), hashes_(std::move(hashes)), errors_(hashes_.size()) {
  check(std::ssize(pixels_) == size() * preprocess.image_size(), "{} bytes for {} images of {}", pixels_.size(), size(),
        preprocess.image_size());
}

Tensor ImageStore::batch(std::span<const int64_t> images) const {
  Tensor result({std::ssize(images), preprocess_.height, preprocess_.width, preprocess_.channels});
  float* out = result.data<float>();
  cpu::parallel_for(std::ssize(images), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) normalize(preprocess_, pixels(images[i]), out + i * preprocess_.image_size());
  });
  return result;
}

std::vector<int64_t> ImageStore::all() const {
  std::vector<int64_t> images(size());
  std::iota(images.begin(), images.end(), 0);
  return images;
}

PairData load_pairs(const std::string& folder, const std::string& csv, const Preprocess& preprocess,
                    OnCorrupt on_corrupt) {
  return load_pairs(folder, read_pairs(csv), csv, preprocess, on_corrupt);
}

PairData load_pairs(const std::string& folder, std::span<const Pair> pairs, const std::string& csv,
                    const Preprocess& preprocess, OnCorrupt on_corrupt) {
  const ImageFolder left(folder + "/left"), right(folder + "/right");
  PairData data;
  for (const auto& [side, images] : {std::pair("/left", &left), std::pair("/right", &right)})
    if (!images->passed_over().empty())
      data.passed_over.push_back(describe_passed_over(folder + side, images->passed_over()));
  std::vector<std::string> files, names;
  std::map<std::string, int64_t> numbers;
  const auto number = [&](const std::string& file, const std::string& name) {
    const auto [at, fresh] = numbers.try_emplace(file, std::ssize(files));
    if (fresh) files.push_back(file), names.push_back(name);
    return at->second;
  };
  std::vector<std::array<int64_t, 2>> images;
  std::vector<Pair> found;
  for (const Pair& pair : pairs) {
    const std::string where = fmt::format("{}:{}", csv, pair.line);
    try {
      const std::string a = left.find(pair.left, where), b = right.find(pair.right, where);
      const int64_t from = number(a, pair.left), to = number(b, pair.right);
      images.push_back({from, to});
      // A picture has one name, also where it stands with its extension in one row and without in
      // another.
      found.push_back({names[from], names[to], pair.line});
    } catch (const Error& error) {
      if (on_corrupt == OnCorrupt::stop) fail("{} (--skip-corrupt leaves such pairs out)", error.what());
      data.skipped.push_back(error.what());
    }
  }
  data.images = ImageStore(files, preprocess, on_corrupt);
  const std::vector<int32_t> groups = groups_of_pairs(images);
  data.labels.resize(files.size());
  std::vector<bool> said(files.size());
  for (size_t i = 0; i < found.size(); i++) {
    bool whole = true;
    for (const int64_t image : images[i]) {
      data.labels[image] = groups[i];
      if (data.images.error(image).empty()) continue;
      if (!said[image]) data.skipped.push_back(data.images.error(image));
      said[image] = true;
      whole = false;
    }
    if (!whole) continue;
    data.pairs.push_back(found[i]);
    data.samples.push_back(images[i]);
  }
  check(!data.pairs.empty(), "{}: no pair is left, each has an image that can't be read", csv);
  return data;
}

std::vector<int64_t> PairData::images_of(int side) const {
  std::vector<bool> is_there(images.size());
  std::vector<int64_t> each;
  for (const auto& sample : samples) {
    if (!is_there[sample[side]]) each.push_back(sample[side]);
    is_there[sample[side]] = true;
  }
  return each;
}

// Pinning memory is slow, so blocks, all of one size, are used again.
struct Loader::PinnedBlocks : std::enable_shared_from_this<PinnedBlocks> {
  std::mutex mutex;
  std::vector<uint8_t*> waiting;
  size_t made = 0;

  std::shared_ptr<uint8_t> take([[maybe_unused]] size_t bytes) {
    uint8_t* block = nullptr;
    std::lock_guard lock(mutex);
    if (!waiting.empty()) {
      block = waiting.back();
      waiting.pop_back();
    } else if constexpr (gpu::kBuilt) {
      waiting.reserve(made + 1);  // for each to come back without asking for memory
      block = static_cast<uint8_t*>(gpu::allocate_pinned(bytes));
      made++;
    }
    return {block, [self = shared_from_this()](uint8_t* b) {
              std::lock_guard guard(self->mutex);
              self->waiting.push_back(b);
            }};
  }
  ~PinnedBlocks() {
    if constexpr (gpu::kBuilt) {
      for (uint8_t* block : waiting) gpu::release_pinned(block);
    }
  }
};

Loader::Loader(const Dataset& data, Sampler sampler, int64_t batch_size, const Augmentation& augmentation,
               uint64_t seed, int64_t epoch, int64_t step, const Compute& compute, Tensor features)
    : data_(data),
      sampler_(std::move(sampler)),
      features_(std::move(features)),
      batch_size_(std::min(batch_size, sampler_.size)),
      seed_(seed),
      epoch_(epoch),
      step_(step),
      augmentation_(augmentation),
      compute_(compute),
      augmenter_(augmentation, data.images.preprocess()),
      pinned_(std::make_shared<PinnedBlocks>()) {
  check(batch_size_ >= 1, "a batch of {} out of {} samples", batch_size, sampler_.size);
  check(step >= 0 && step < steps_per_epoch(), "step {} of an epoch of {}", step, steps_per_epoch());
  thread_ = std::thread([this] { work(); });
}

Loader::~Loader() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
  if constexpr (gpu::kBuilt) {
    for (const auto& [event, pixels] : uploads_) {
      try {
        gpu::synchronize(event);
      } catch (const gpu::Failure&) {  // what failed before it is under way already
      }
      gpu::destroy(event);
    }
  }
}

Batch Loader::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !ready_.empty() || error_; });
  if (ready_.empty()) std::rethrow_exception(error_);
  Batch batch = std::move(ready_.front());
  ready_.pop_front();
  changed_.notify_all();
  lock.unlock();
  if (features_.defined())
    batch.images = place_input(batch.images, compute_);
  else if (compute_.device == Device::cuda)
    batch.images = make_on_gpu(batch);
  return batch;
}

void Loader::work() try {
  for (;;) {
    Batch batch = make(epoch_, step_);
    if (++step_ == steps_per_epoch()) epoch_++, step_ = 0;
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ready_.size() < kAhead || stop_; });
    if (stop_) return;
    ready_.push_back(std::move(batch));
    changed_.notify_all();
  }
} catch (...) {
  std::lock_guard lock(mutex_);
  error_ = std::current_exception();
  changed_.notify_all();
}

Batch Loader::make(int64_t epoch, int64_t step) {
  if (order_epoch_ != epoch) {
    order_ = sampler_.epoch(epoch);
    order_epoch_ = epoch;
  }
  const Preprocess& preprocess = data_.images.preprocess();
  Batch batch{.epoch = epoch,
              .step = step,
              .samples = {order_.begin() + step * batch_size_, order_.begin() + (step + 1) * batch_size_}};
  for (int view = 0; view < 2; view++)
    for (const Sample& sample : batch.samples) batch.labels.push_back(data_.labels[sample.images[view]]);
  if (features_.defined()) {
    std::vector<int64_t> images;
    for (int view = 0; view < 2; view++)
      for (const Sample& sample : batch.samples) images.push_back(sample.images[view]);
    batch.images = rows_of(features_, images);
    return batch;
  }
  const auto stream_of = [&](const Sample& sample, int view) {
    return Random(seed_, RandomUse::augment, epoch, 2 * sample.id + view);
  };
  const int64_t size = preprocess.image_size();
  if (compute_.device == Device::cuda) {
    batch.pixels = pinned_->take(2 * batch_size_ * size);
    uint8_t* to = batch.pixels.get();
    for (int view = 0; view < 2; view++)
      for (const Sample& sample : batch.samples) {
        std::copy_n(data_.images.pixels(sample.images[view]), size, to);
        batch.draws.push_back(draw_image(augmentation_, preprocess, stream_of(sample, view)));
        to += size;
      }
    return batch;
  }
  batch.images = Tensor({2 * batch_size_, preprocess.height, preprocess.width, preprocess.channels});
  float* out = batch.images.data<float>();
  for (int view = 0; view < 2; view++)
    for (const Sample& sample : batch.samples) {
      augmenter_.apply(data_.images.pixels(sample.images[view]), stream_of(sample, view), out);
      out += size;
    }
  return batch;
}

// The pixels go up on the copy stream, while the compute stream still works on the step before.
Tensor Loader::make_on_gpu(const Batch& batch) {
  const Preprocess& preprocess = data_.images.preprocess();
  const auto count = std::ssize(batch.draws);
  const DType type = compute_.precision == Precision::bf16 ? DType::bf16 : DType::f32;
  Tensor images({count, preprocess.height, preprocess.width, preprocess.channels}, type, Device::cuda);
  ImageBatchParams p{
      .images = count, .height = preprocess.height, .width = preprocess.width, .channels = preprocess.channels};
  for (int64_t c = 0; c < preprocess.channels; c++) {
    p.factor[c] = 1 / preprocess.std[c], p.offset[c] = -preprocess.mean[c] / preprocess.std[c];
  }
  LOOKALIKE_ON_GPU(images, {
    const gpu::Stream copying = gpu::copy_stream();
    const size_t pixel_bytes = count * preprocess.image_size(), draw_bytes = count * sizeof(ImageDraw);
    auto* const pixels = static_cast<uint8_t*>(gpu::allocate(pixel_bytes, copying));
    auto* const draws = static_cast<ImageDraw*>(gpu::allocate(draw_bytes, copying));
    gpu::copy_to_device(pixels, batch.pixels.get(), pixel_bytes, copying);
    gpu::copy_to_device(draws, batch.draws.data(), draw_bytes, copying);
    const gpu::Event event = gpu::make_event();
    gpu::record(event, copying);
    uploads_.emplace_back(event, batch.pixels);
    (gpu::wait(stream, event), ...);
    on::image_batch(p, pixels, draws, images.data<T>(), stream...);
    (gpu::release(pixels, stream), ...);
    (gpu::release(draws, stream), ...);
    while (uploads_.size() > kAhead) {
      gpu::synchronize(uploads_.front().first);
      gpu::destroy(uploads_.front().first);
      uploads_.pop_front();
    }
  });
  return images;
}

}  // namespace lookalike
