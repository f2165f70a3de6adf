#include "engine/data/image.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <new>

#include <zlib.h>

#include "engine/core/content_hash.h"
#include "engine/core/error.h"

// It asserts that weights sum to about 1 before it makes them do so; where it shrinks a little they need not.
#define STBIR_ASSERT(condition) static_cast<void>(0)
#define STB_IMAGE_RESIZE_STATIC
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#include <stb/stb_image_resize.h>

// Its own compression asserts that memory never runs out.
static unsigned char* compress_for_png(const unsigned char* data, int bytes, int* packed_bytes,
                                       int level) {
  uLongf size = compressBound(bytes);
  auto* packed = static_cast<unsigned char*>(std::malloc(size));
  if (packed && compress2(packed, &size, data, bytes, level) == Z_OK) {
    *packed_bytes = static_cast<int>(size);
    return packed;
  }
  std::free(packed);
  return nullptr;
}

#define STBIW_ZLIB_COMPRESS compress_for_png
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

namespace lookalike {
namespace {

// A rectangle in the pixels of an image, out of which it may reach.
struct Window {
  int64_t top = 0, left = 0, height = 0, width = 0;
  bool operator==(const Window&) const = default;
};

Window whole(const Image& image) {
  return {.height = image.height, .width = image.width};
}

// The square of crop_to_ink(); the whole image where nothing is dark.
Window ink_window(const Image& image) {
  const int64_t channels = image.channels;
  int64_t left = image.width, right = -1, top = image.height, bottom = -1;
  for (int64_t y = 0; y < image.height; y++)
    for (int64_t x = 0; x < image.width; x++) {
      const uint8_t* at = &image.pixels[(y * image.width + x) * channels];
      if ((channels == 1 ? *at : luma(at)) >= 128) continue;
      left = std::min(left, x), right = std::max(right, x), top = std::min(top, y), bottom = std::max(bottom, y);
    }
  if (right < 0) return whole(image);
  const int64_t side = std::max(right - left + 1, bottom - top + 1) * 6 / 5;
  return {.top = top - (side - (bottom - top + 1)) / 2,
          .left = left - (side - (right - left + 1)) / 2,
          .height = side,
          .width = side};
}

// One axis of `from` [outer,size,inner] to `to` [outer,out,inner], of a window of `length` elements
// that begins at element `begin`: white where the axis does not reach. A triangle filter, as in
// resize(); what it would need from beyond the window is the window's last element.
template <class T>
void resize_axis(const T* from, int64_t outer, int64_t size, int64_t inner, int64_t begin, int64_t length, int64_t out,
                 std::vector<float>& to) {
  constexpr float kWhite = 255;
  to.assign(outer * out * inner, 0);
  const double scale = static_cast<double>(length) / static_cast<double>(out), radius = std::max(scale, 1.0);
  std::vector<double> weights;
  for (int64_t i = 0; i < out; i++) {
    const double centre = (static_cast<double>(i) + 0.5) * scale - 0.5;
    const auto first = static_cast<int64_t>(std::ceil(centre - radius));
    const auto last = static_cast<int64_t>(std::floor(centre + radius));
    weights.clear();
    double sum = 0;
    for (int64_t x = first; x <= last; x++)
      sum += weights.emplace_back(1 - std::abs(static_cast<double>(x) - centre) / radius);
    double white = 0;
    for (int64_t x = first; x <= last; x++) {
      const auto weight = static_cast<float>(weights[x - first] / sum);
      const int64_t at = begin + std::clamp<int64_t>(x, 0, length - 1);
      if (at < 0 || at >= size) {
        white += weight;
        continue;
      }
      for (int64_t o = 0; o < outer; o++)
        for (int64_t k = 0; k < inner; k++)
          to[(o * out + i) * inner + k] += weight * static_cast<float>(from[(o * size + at) * inner + k]);
    }
    for (int64_t o = 0; o < outer; o++)
      for (int64_t k = 0; k < inner; k++) to[(o * out + i) * inner + k] += static_cast<float>(white) * kWhite;
  }
}

// The window, white where it reaches out of the image, at height x width pixels. Along the longer
// side first, so that memory and time grow with the image's pixels, whatever the window's size.
Image resize_window(const Image& image, const Window& window, int64_t height, int64_t width) {
  const int64_t channels = image.channels;
  std::vector<float> between, values;
  if (image.height > image.width) {
    resize_axis(image.pixels.data(), 1, image.height, image.width * channels, window.top, window.height, height,
                between);
    resize_axis(between.data(), height, image.width, channels, window.left, window.width, width, values);
  } else {
    resize_axis(image.pixels.data(), image.height, image.width, channels, window.left, window.width, width, between);
    resize_axis(between.data(), 1, image.height, width * channels, window.top, window.height, height, values);
  }
  Image result{height, width, channels, std::vector<uint8_t>(values.size())};
  std::ranges::transform(values, result.pixels.begin(),
                         [](float x) { return static_cast<uint8_t>(std::clamp(x + 0.5f, 0.0f, 255.0f)); });
  return result;
}

}  // namespace

uint8_t over_white(int value, int alpha) {
  return (value * alpha + 255 * (255 - alpha) + 127) / 255;
}

uint8_t luma(const uint8_t* rgb) {
  return (77 * rgb[0] + 150 * rgb[1] + 29 * rgb[2] + 128) >> 8;
}

Image on_white(const uint8_t* pixels, int64_t height, int64_t width, bool premultiplied) {
  Image image{height, width, 3, std::vector<uint8_t>(height * width * 3)};
  for (int64_t i = 0; i < height * width; i++)
    for (int c = 0; c < 3; c++) {
      const int value = pixels[i * 4 + c], alpha = pixels[i * 4 + 3];
      image.pixels[i * 3 + c] = premultiplied ? std::min(value + 255 - alpha, 255) : over_white(value, alpha);
    }
  return image;
}

uint64_t content_hash(const Image& image) {
  if (image.channels == 1) return content_hash(with_channels(image, 3));
  ContentHash hash;
  const int64_t size[] = {image.height, image.width};
  hash.add(size, sizeof(size));
  hash.add(image.pixels.data(), image.pixels.size());
  return hash.value();
}

Image with_channels(const Image& image, int64_t channels) {
  if (image.channels == channels) return image;
  Image result{image.height, image.width, channels, std::vector<uint8_t>(image.height * image.width * channels)};
  for (int64_t i = 0; i < image.height * image.width; i++) {
    if (channels == 1)
      result.pixels[i] = luma(&image.pixels[3 * i]);
    else
      std::fill_n(&result.pixels[3 * i], 3, image.pixels[i]);
  }
  return result;
}

Image crop_to_ink(const Image& image) {
  const Window window = ink_window(image);
  if (window == whole(image)) return image;
  const int64_t channels = image.channels;
  Image result{window.height, window.width, channels,
               std::vector<uint8_t>(window.height * window.width * channels, 255)};
  const int64_t begin = std::max<int64_t>(window.left, 0), end = std::min(window.left + window.width, image.width);
  for (int64_t y = std::max<int64_t>(window.top, 0); y < std::min(window.top + window.height, image.height); y++)
    std::copy_n(&image.pixels[(y * image.width + begin) * channels], (end - begin) * channels,
                &result.pixels[((y - window.top) * window.width + begin - window.left) * channels]);
  return result;
}

Image resize(const Image& image, int64_t height, int64_t width) {
  if (image.height == height && image.width == width) return image;
  // The library's tables take 20 bytes for each row and column, and its working memory 4 for each
  // value of a row.
  constexpr int64_t kThinRatio = 64, kLongSide = 4096;
  const auto [shorter, longer] = std::minmax({image.height, image.width});
  if (longer > kLongSide && longer > kThinRatio * shorter) return resize_window(image, whole(image), height, width);
  Image result{height, width, image.channels, std::vector<uint8_t>(height * width * image.channels)};
  const int ok = stbir_resize_uint8_generic(image.pixels.data(), image.width, image.height, 0, result.pixels.data(),
                                            width, height, 0, image.channels, STBIR_ALPHA_CHANNEL_NONE, 0,
                                            STBIR_EDGE_CLAMP, STBIR_FILTER_TRIANGLE, STBIR_COLORSPACE_LINEAR, nullptr);
  if (ok == 0) throw std::bad_alloc();
  return result;
}

Image resize_to_ink(const Image& image, int64_t height, int64_t width) {
  constexpr int64_t kSmallSide = 512;
  const Window window = ink_window(image);
  const bool small = window.height <= kSmallSide || window.height * window.width <= 4 * image.height * image.width;
  return small ? resize(crop_to_ink(image), height, width) : resize_window(image, window, height, width);
}

std::string encode_png(const Image& image) {
  int size = 0;
  const std::unique_ptr<unsigned char, void (*)(void*)> bytes(
      stbi_write_png_to_mem(image.pixels.data(), 0, image.width, image.height, image.channels,
                            &size),
      std::free);
  if (!bytes) throw std::bad_alloc();
  return {bytes.get(), bytes.get() + size};
}

std::string encode_jpeg(const Image& image) {
  constexpr int kQuality = 85;
  std::string bytes;
  const auto append = [](void* to, void* data, int size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(data), size);
  };
  stbi_write_jpg_to_func(append, &bytes, static_cast<int>(image.width),
                         static_cast<int>(image.height), static_cast<int>(image.channels),
                         image.pixels.data(), kQuality);
  return bytes;
}

}  // namespace lookalike
