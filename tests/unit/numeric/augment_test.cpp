#include "engine/data/augment.h"

#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "tests/unit/data_files.h"

namespace lookalike {
namespace {

std::vector<float> augmented(const Augmentation& augmentation, const Image& image, uint64_t id, Preprocess p = {}) {
  p.height = image.height, p.width = image.width, p.channels = image.channels;
  p.mean.resize(p.channels), p.std.resize(p.channels, 1);
  std::vector<float> out(p.image_size(), -100);
  Augmenter(augmentation, p).apply(image.pixels.data(), Random(0, RandomUse::augment, id), out.data());
  return out;
}

// The image as floats from 0 to 1, mirrored if asked.
std::vector<float> plain(const Image& image, bool mirrored = false) {
  std::vector<float> out;
  for (int64_t y = 0; y < image.height; y++)
    for (int64_t x = 0; x < image.width; x++)
      for (int64_t c = 0; c < image.channels; c++) {
        const int64_t from = mirrored ? image.width - 1 - x : x;
        out.push_back(image.pixels[(y * image.width + from) * image.channels + c] / 255.0f);
      }
  return out;
}

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); i++) largest = std::max(largest, std::abs(double{a[i]} - b[i]));
  return largest;
}

}  // namespace

TEST_CASE("without augmentation an image is only normalised") {
  const Image image = test_image(9, 21, 3);
  CHECK(augmented({}, image, 0) == plain(image));
  // A warp that moves nothing agrees with the fast path.
  Augmentation nearly;
  nearly.flip = 1e-30f;
  const Preprocess p{.mean = {0.5f, 0.4f, 0.3f}, .std = {0.2f, 0.3f, 0.4f}};
  CHECK(difference(augmented(nearly, image, 0, p), augmented({}, image, 0, p)) < 1e-5);
}

TEST_CASE("a certain flip is the mirror image, for every width and both channel counts") {
  for (const int64_t channels : {1, 3})
    for (const int64_t width : {1, 2, 15, 16, 33}) {
      const Image image = test_image(5, width, channels);
      CHECK(difference(augmented({.flip = 1}, image, 3), plain(image, true)) < 1e-5);
    }
}

TEST_CASE("the warp equals a direct computation in double") {
  const Image image = test_image(24, 40, 3);
  const Augmentation all{.flip = 0.5f, .shift = 0.2f, .scale = 0.3f, .rotation = 40, .shear = 0.5f};
  for (uint64_t id = 0; id < 8; id++) {
    Random r(0, RandomUse::augment, id);
    const bool flip = r.uniform() < all.flip;
    const double shift_x = r.uniform(-0.2f, 0.2f) * 40, shift_y = r.uniform(-0.2f, 0.2f) * 24;
    const double zoom = r.uniform(1 - 0.3f, 1 + 0.3f), angle = r.uniform(-40, 40) * std::acos(-1.0) / 180;
    for (int unused = 0; unused < 5; unused++) r.uniform();  // brightness, three gains, whether channels are shuffled
    const double shear = r.uniform(-0.5f, 0.5f);
    const auto at = [&](int64_t y, int64_t x, int c) {
      const bool inside = y >= 0 && y < 24 && x >= 0 && x < 40;
      return inside ? image.pixels[(y * 40 + x) * 3 + c] / 255.0 : 1.0;
    };
    const auto out = augmented(all, image, id);
    double worst = 0;
    for (int64_t y = 0; y < 24; y++)
      for (int64_t x = 0; x < 40; x++) {
        const double dx = x - 19.5 - shift_x, dy = y - 11.5 - shift_y;
        const double sheared_y = (-std::sin(angle) * dx + std::cos(angle) * dy) / zoom, sy = sheared_y + 11.5;
        double sx = (std::cos(angle) * dx + std::sin(angle) * dy) / zoom - shear * sheared_y + 19.5;
        if (flip) sx = 39 - sx;
        const int64_t left = std::floor(sx), top = std::floor(sy);
        const double fx = sx - left, fy = sy - top;
        for (int c = 0; c < 3; c++) {
          const double expected = (1 - fy) * ((1 - fx) * at(top, left, c) + fx * at(top, left + 1, c)) +
                                  fy * ((1 - fx) * at(top + 1, left, c) + fx * at(top + 1, left + 1, c));
          worst = std::max(worst, std::abs(expected - out[(y * 40 + x) * 3 + c]));
        }
      }
    CHECK(worst < 1e-4);
  }
}

TEST_CASE("gains multiply and clip; shuffled channels are the same channels") {
  const Image grey{1, 2, 3, {100, 100, 100, 200, 200, 200}};
  bool clipped = false;
  for (uint64_t id = 0; id < 32; id++) {
    const auto bright = augmented({.brightness = 0.5f}, grey, id);
    CHECK(bright[0] == bright[1]);
    CHECK(bright[0] >= 100 / 255.0f * 0.49f);
    CHECK(bright[0] <= 100 / 255.0f * 1.51f);
    CHECK(bright[3] == doctest::Approx(std::min(1.0f, 2 * bright[0])));
    clipped |= bright[3] == 1;
    const auto tinted = augmented({.color = 0.5f}, grey, id);
    CHECK(tinted[0] != tinted[1]);
  }
  CHECK(clipped);

  const Image color{1, 1, 3, {10, 20, 30}};
  int moved = 0;
  for (uint64_t id = 0; id < 60; id++) {
    auto out = augmented({.channel_shuffle = 1}, color, id);
    moved += out[0] != doctest::Approx(10 / 255.0);
    std::sort(out.begin(), out.end());
    CHECK(difference(out, plain(color)) < 1e-6);
  }
  CHECK(moved > 20);
  CHECK(moved < 60);
}

TEST_CASE("augmentation depends on its stream alone, and one change leaves the others as they were") {
  const Image image = test_image(16, 16, 3);
  const Augmentation some{.shift = 0.1f, .rotation = 10};
  CHECK(augmented(some, image, 1) == augmented(some, image, 1));
  CHECK(augmented(some, image, 1) != augmented(some, image, 2));
  Augmentation flipped = some;
  flipped.flip = 1;
  Image mirror = image;
  for (int64_t y = 0; y < 16; y++)
    for (int64_t x = 0; x < 16; x++)
      std::copy_n(&image.pixels[(y * 16 + 15 - x) * 3], 3, &mirror.pixels[(y * 16 + x) * 3]);
  CHECK(difference(augmented(flipped, image, 1), augmented(some, mirror, 1)) < 1e-4);
}

TEST_CASE("augmentation settings are checked") {
  Options options({{"flip", 0.5}, {"rotation", 15}}, "r.toml: augmentation");
  const Augmentation a = read_augmentation(options);
  CHECK(a.flip == 0.5f);
  CHECK(a.rotation == 15);
  CHECK(!a.is_identity());
  Options wrong({{"flip", 2}}, "r.toml: augmentation");
  CHECK(error_of([&] { read_augmentation(wrong); }) == "r.toml: augmentation: flip = 2, expected a number from 0 to 1");
}

}  // namespace lookalike
