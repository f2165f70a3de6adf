#include "engine/data/augment.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "kernels/parallel.h"

namespace lookalike {

bool Augmentation::is_identity() const {
  return flip == 0 && shift == 0 && scale == 0 && rotation == 0 && shear == 0 && brightness == 0 && color == 0 &&
         channel_shuffle == 0;
}

Augmentation read_augmentation(Options& options) {
  Augmentation a;
  a.flip = options.number("flip", 0, 0, 1);
  a.shift = options.number("shift", 0, 0, 1);
  a.scale = options.number("scale", 0, 0, 0.9);
  a.rotation = options.number("rotation", 0, 0, 180);
  a.shear = options.number("shear", 0, 0, 1);
  a.brightness = options.number("brightness", 0, 0, 1);
  a.color = options.number("color", 0, 0, 1);
  a.channel_shuffle = options.number("channel_shuffle", 0, 0, 1);
  return a;
}

namespace {

// Everything is drawn whether it is used or not, so that turning one change on or off leaves the random numbers of the
// others as they were.
ImageDraw draw(const Augmentation& a, int64_t height, int64_t width, Random& random) {
  ImageDraw d;
  const bool flip = random.uniform() < a.flip;
  const double shift_x = random.uniform(-a.shift, a.shift) * width;
  const double shift_y = random.uniform(-a.shift, a.shift) * height;
  const double zoom = random.uniform(1 - a.scale, 1 + a.scale);
  const double angle = random.uniform(-a.rotation, a.rotation) * std::numbers::pi / 180;
  const float brightness = random.uniform(1 - a.brightness, 1 + a.brightness);
  for (float& gain : d.gain) gain = brightness * random.uniform(1 - a.color, 1 + a.color);
  if (random.uniform() < a.channel_shuffle) random.shuffle(std::span<int32_t>(d.channel));
  const double shear = random.uniform(-a.shear, a.shear);

  // The image is flipped, sheared, then turned and scaled about its centre, then shifted; here the way back.
  const double c = std::cos(angle) / zoom, s = std::sin(angle) / zoom, mirror = flip ? -1 : 1;
  const double centre_x = (width - 1) / 2.0, centre_y = (height - 1) / 2.0;
  const double from_x = centre_x + shift_x, from_y = centre_y + shift_y;
  const double xx = mirror * (c + shear * s), xy = mirror * (s - shear * c);
  d.xx = static_cast<float>(xx), d.xy = static_cast<float>(xy);
  d.x0 = static_cast<float>(centre_x - (xx * from_x + xy * from_y));
  d.yx = static_cast<float>(-s), d.yy = static_cast<float>(c);
  d.y0 = static_cast<float>(centre_y + s * from_x - c * from_y);
  return d;
}

// One white pixel before the image and two behind it, in each direction: whatever lies further out is read from there.
constexpr int64_t kFrame = 3;

template <int kChannels>
void pad(const uint8_t* pixels, int64_t height, int64_t width, uint32_t* padded) {
  const int64_t stride = width + kFrame;
  std::fill_n(padded, stride * (height + kFrame), 0xFFFFFF);
  for (int64_t y = 0; y < height; y++)
    for (int64_t x = 0; x < width; x++) {
      uint32_t word = 0;
      for (int c = 0; c < kChannels; c++) word |= uint32_t{pixels[(y * width + x) * kChannels + c]} << 8 * c;
      padded[(y + 1) * stride + x + 1] = word;
    }
}

}  // namespace

ImageDraw draw_image(const Augmentation& augmentation, const Preprocess& preprocess, Random random) {
  return augmentation.is_identity() ? ImageDraw{} : draw(augmentation, preprocess.height, preprocess.width, random);
}

Augmenter::Augmenter(const Augmentation& augmentation, const Preprocess& preprocess)
    : augmentation_(augmentation),
      preprocess_(preprocess),
      identity_(augmentation.is_identity()),
      padded_((preprocess.height + kFrame) * (preprocess.width + kFrame)),
      row_(preprocess.width * preprocess.channels) {}

void Augmenter::apply(const uint8_t* pixels, Random random, float* out) {
  if (identity_)
    normalize(preprocess_, pixels, out);
  else if (preprocess_.channels == 1)
    warp<1>(pixels, random, out);
  else
    warp<3>(pixels, random, out);
}

template <int kChannels>
void Augmenter::warp(const uint8_t* pixels, Random& random, float* out) {
  const int64_t height = preprocess_.height, width = preprocess_.width, stride = width + kFrame;
  const ImageDraw drawn = draw(augmentation_, height, width, random);
  pad<kChannels>(pixels, height, width, padded_.data());
  // (value / 255 - mean) / std as one multiplication and one addition.
  std::array<float, kChannels> factor, offset;
  std::array<const float*, kChannels> plane;
  for (int c = 0; c < kChannels; c++) {
    factor[c] = 1 / preprocess_.std[c];
    offset[c] = -preprocess_.mean[c] / preprocess_.std[c];
    plane[c] = row_.data() + (kChannels == 3 ? drawn.channel[c] : 0) * width;
  }

  cpu::simd([=, padded = padded_.data(), row = row_.data(), m = drawn] {
    // Positions count from the frame's corner, 1 up and left of the image.
    const float right = width + 1, bottom = height + 1;
    for (int64_t y = 0; y < height; y++) {
      const float start_x = m.xy * y + m.x0 + 1, start_y = m.yy * y + m.y0 + 1;
#pragma GCC ivdep
      for (int32_t column = 0; column < static_cast<int32_t>(width); column++) {
        float px = m.xx * column + start_x, py = m.yx * column + start_y;
        px = px < 0 ? 0 : px > right ? right : px;
        py = py < 0 ? 0 : py > bottom ? bottom : py;
        const int32_t left = static_cast<int32_t>(px), top = static_cast<int32_t>(py);
        const float x = px - left, y = py - top;
        const int32_t at = top * static_cast<int32_t>(stride) + left;
        const uint32_t p00 = padded[at], p01 = padded[at + 1], p10 = padded[at + stride], p11 = padded[at + stride + 1];
        const float w00 = (1 - x) * (1 - y), w01 = x * (1 - y), w10 = (1 - x) * y, w11 = x * y;
        for (int c = 0; c < kChannels; c++) {
          const auto channel = [c](uint32_t p) { return static_cast<float>(static_cast<int32_t>(p >> 8 * c & 255)); };
          row[c * width + column] =
              (w00 * channel(p00) + w01 * channel(p01) + w10 * channel(p10) + w11 * channel(p11)) * (1.0f / 255);
        }
      }
      float* to = out + y * width * kChannels;
#pragma GCC ivdep
      for (int64_t x = 0; x < width; x++)
        for (int c = 0; c < kChannels; c++) {
          const float value = plane[c][x] * m.gain[c];
          to[x * kChannels + c] = (value > 1 ? 1 : value) * factor[c] + offset[c];
        }
    }
  });
}

}  // namespace lookalike
