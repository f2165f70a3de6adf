#include "engine/data/image.h"

#include <algorithm>
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
  const int64_t channels = image.channels;
  int64_t left = image.width, right = -1, top = image.height, bottom = -1;
  for (int64_t y = 0; y < image.height; y++)
    for (int64_t x = 0; x < image.width; x++) {
      const uint8_t* at = &image.pixels[(y * image.width + x) * channels];
      if ((channels == 1 ? *at : luma(at)) >= 128) continue;
      left = std::min(left, x), right = std::max(right, x), top = std::min(top, y), bottom = std::max(bottom, y);
    }
  if (right < 0) return image;
  const int64_t side = std::max(right - left + 1, bottom - top + 1) * 6 / 5;
  const int64_t x0 = left - (side - (right - left + 1)) / 2, y0 = top - (side - (bottom - top + 1)) / 2;
  const int64_t begin = std::max<int64_t>(x0, 0), end = std::min(x0 + side, image.width);
  Image result{side, side, channels, std::vector<uint8_t>(side * side * channels, 255)};
  for (int64_t y = std::max<int64_t>(y0, 0); y < std::min(y0 + side, image.height); y++)
    std::copy_n(&image.pixels[(y * image.width + begin) * channels], (end - begin) * channels,
                &result.pixels[((y - y0) * side + begin - x0) * channels]);
  return result;
}

Image resize(const Image& image, int64_t height, int64_t width) {
  if (image.height == height && image.width == width) return image;
  Image result{height, width, image.channels, std::vector<uint8_t>(height * width * image.channels)};
  const int ok = stbir_resize_uint8_generic(image.pixels.data(), image.width, image.height, 0, result.pixels.data(),
                                            width, height, 0, image.channels, STBIR_ALPHA_CHANNEL_NONE, 0,
                                            STBIR_EDGE_CLAMP, STBIR_FILTER_TRIANGLE, STBIR_COLORSPACE_LINEAR, nullptr);
  if (ok == 0) throw std::bad_alloc();
  return result;
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

}  // namespace lookalike
