#include "kernels/image_batch.h"

#include <doctest/doctest.h>

#include "engine/data/augment.h"
#include "tests/gpu/device_array.h"

namespace lookalike::testing {
namespace {

// The result begins `offset` elements behind where it is aligned.
template <class T>
double batch_error(const Preprocess& preprocess, const Augmentation& augmentation, int64_t offset) {
  const int64_t images = 5, size = preprocess.image_size();
  Random random(3, RandomUse::test);
  std::vector<uint8_t> pixels(images * size);
  for (uint8_t& x : pixels) x = static_cast<uint8_t>(random.below(256));
  std::vector<float> want(images * size);
  std::vector<ImageDraw> draws;
  Augmenter augmenter(augmentation, preprocess);
  for (int64_t i = 0; i < images; i++) {
    const Random stream(7, RandomUse::augment, 0, i);
    augmenter.apply(pixels.data() + i * size, stream, want.data() + i * size);
    draws.push_back(draw_image(augmentation, preprocess, stream));
  }
  ImageBatchParams p{
      .images = images, .height = preprocess.height, .width = preprocess.width, .channels = preprocess.channels};
  for (int64_t c = 0; c < p.channels; c++) {
    p.factor[c] = 1 / preprocess.std[c], p.offset[c] = -preprocess.mean[c] / preprocess.std[c];
  }
  DeviceArray<uint8_t> device_pixels(pixels);
  DeviceArray<ImageDraw> device_draws(draws);
  DeviceArray<T> out(offset + images * size);
  T* const to = out.data() + offset;
  cuda::image_batch(p, device_pixels.data(), device_draws.data(), to, gpu::compute_stream());
  std::vector<T> have = out.read();
  have.erase(have.begin(), have.begin() + offset);
  return relative_error(to_double(have), to_double(want));
}

TEST_CASE("image_batch makes what the CPU's augmentation makes") {
  Preprocess color{.height = 9, .width = 13, .channels = 3, .mean = {0.4f, 0.5f, 0.6f}, .std = {0.2f, 0.3f, 0.25f}};
  Preprocess grey{.height = 7, .width = 5, .channels = 1, .mean = {0.5f}, .std = {0.5f}};
  const Augmentation all{.flip = 0.5f,
                         .shift = 0.2f,
                         .scale = 0.3f,
                         .rotation = 30,
                         .shear = 0.3f,
                         .brightness = 0.3f,
                         .color = 0.3f,
                         .channel_shuffle = 0.5f};
  for (const Preprocess& preprocess : {color, grey}) {
    for (const Augmentation& augmentation : {Augmentation{}, all}) {
      for (const int64_t offset : {0, 1}) {
        CHECK(batch_error<float>(preprocess, augmentation, offset) < 1e-5);
        CHECK(batch_error<bf16>(preprocess, augmentation, offset) < 1e-2);
      }
    }
  }
}

}  // namespace
}  // namespace lookalike::testing
