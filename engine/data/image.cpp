#include "engine/data/image.h"

#include <algorithm>
#include <limits>
#include <memory>

#include <zlib.h>

#include "engine/core/content_hash.h"
#include "engine/core/error.h"
#include "engine/io/input_file.h"

#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#include <stb/stb_image.h>

// It asserts that weights sum to about 1 before it makes them do so; where it shrinks a little they need not.
#define STBIR_ASSERT(condition) static_cast<void>(0)
#define STB_IMAGE_RESIZE_STATIC
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#include <stb/stb_image_resize.h>

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

namespace lookalike {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{1} << 28;
constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1a\n", kJpegSignature = "\xff\xd8\xff";

uint32_t big_endian(std::string_view bytes, size_t at, int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; i++) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

void check_size(int64_t width, int64_t height, const std::string& name) {
  // Each side first: the product of two 32-bit claims can pass 2^63.
  check(width <= kMaxPixels && height <= kMaxPixels && width * height <= kMaxPixels,
        "{}: {} x {} pixels, expected at most {}", name, width, height, kMaxPixels);
}

// Walks the chunks to IEND; stb_image looks at no checksum, and each chunk's own tells a damaged file.
void check_png(std::string_view bytes, const std::string& name) {
  bool first = true;
  for (size_t at = kPngSignature.size(); bytes.size() - at >= 12; first = false) {
    const uint32_t length = big_endian(bytes, at, 4);
    if (length > bytes.size() - at - 12) break;
    const std::string_view body = bytes.substr(at + 4, 4 + length);
    check(crc32(0, reinterpret_cast<const Bytef*>(body.data()), 4 + length) == big_endian(bytes, at + 8 + length, 4),
          "{}: damaged PNG, the checksum of a chunk is wrong", name);
    if (first) {
      check(body.starts_with("IHDR") && length == 13, "{}: damaged PNG, it does not begin with its size", name);
      check_size(big_endian(body, 4, 4), big_endian(body, 8, 4), name);
    }
    if (body.starts_with("IEND")) return;
    at += 12 + length;
  }
  fail("{}: truncated PNG, it ends before its IEND chunk", name);
}

// stb_image writes a code table of more than 256 symbols past the end of its array.
bool code_tables_fit(std::string_view tables) {
  while (!tables.empty()) {
    if (tables.size() < 17) return false;
    size_t symbols = 0;
    for (int bits = 1; bits <= 16; bits++) symbols += static_cast<uint8_t>(tables[bits]);
    if (symbols > 256 || tables.size() < 17 + symbols) return false;
    tables.remove_prefix(17 + symbols);
  }
  return true;
}

// Walks the markers to the end of the image; stb_image fills in grey for what is missing.
void check_jpeg(std::string_view bytes, const std::string& name) {
  bool adobe = false;
  for (size_t at = 2; at + 1 < bytes.size();) {
    const uint8_t here = bytes[at], marker = bytes[at + 1];
    if (here != 0xFF || marker == 0xFF) {  // coded data, or padding before a marker
      at++;
      continue;
    }
    if (marker == 0 || (marker >= 0xD0 && marker <= 0xD7)) {  // a stuffed byte or a restart, both without a length
      at += 2;
      continue;
    }
    if (marker == 0xD9) return;
    if (bytes.size() - at < 4) break;
    const uint32_t length = big_endian(bytes, at + 2, 2);
    if (length > bytes.size() - at - 2) break;
    check(marker != 0xC4 || (length >= 2 && code_tables_fit(bytes.substr(at + 4, length - 2))),
          "{}: damaged JPEG, a code table runs over", name);
    adobe |= marker == 0xEE && bytes.substr(at + 4, 5) == "Adobe";
    if (marker >= 0xC0 && marker <= 0xC2 && length >= 8) {
      check_size(big_endian(bytes, at + 7, 2), big_endian(bytes, at + 5, 2), name);
      check(bytes[at + 9] != 4 || adobe,
            "{}: JPEG of four channels without the Adobe marker that says which, expected grey, RGB or Adobe CMYK",
            name);
    }
    at += 2 + length;
  }
  fail("{}: truncated JPEG, it ends before its end-of-image marker", name);
}

uint8_t over_white(int value, int alpha, bool premultiplied) {
  return premultiplied ? std::min(value + 255 - alpha, 255) : (value * alpha + 255 * (255 - alpha) + 127) / 255;
}

uint8_t luma(const uint8_t* rgb) {
  return (77 * rgb[0] + 150 * rgb[1] + 29 * rgb[2] + 128) >> 8;
}

}  // namespace

Image on_white(const uint8_t* pixels, int64_t height, int64_t width, bool premultiplied) {
  Image image{height, width, 3, std::vector<uint8_t>(height * width * 3)};
  for (int64_t i = 0; i < height * width; i++)
    for (int c = 0; c < 3; c++)
      image.pixels[i * 3 + c] = over_white(pixels[i * 4 + c], pixels[i * 4 + 3], premultiplied);
  return image;
}

Image decode_image(std::string_view bytes, int64_t channels, const std::string& name) {
  check(channels == 1 || channels == 3, "decode_image: {} channels, expected 1 or 3", channels);
  check(!bytes.empty(), "{}: the file is empty, expected a JPEG or PNG image", name);
  const bool png = bytes.starts_with(kPngSignature);
  check(png || bytes.starts_with(kJpegSignature), "{}: not an image, expected a JPEG or PNG file", name);
  png ? check_png(bytes, name) : check_jpeg(bytes, name);

  // Asked for all channels there are (0): it drops alpha where it should blend.
  int width = 0, height = 0, found = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> decoded(
      stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(bytes.data()), static_cast<int>(bytes.size()), &width,
                            &height, &found, 0),
      stbi_image_free);
  check(decoded != nullptr, "{}: damaged image ({})", name, stbi_failure_reason());

  const bool alpha = found == 2 || found == 4, colour = found >= 3;
  Image image{height, width, channels, std::vector<uint8_t>(size_t(height) * width * channels)};
  for (int64_t i = 0; i < int64_t{height} * width; i++) {
    const stbi_uc* from = decoded.get() + i * found;
    uint8_t rgb[3];
    for (int c = 0; c < 3; c++)
      rgb[c] = alpha ? over_white(from[colour ? c : 0], from[found - 1], false) : from[colour ? c : 0];
    uint8_t* to = &image.pixels[i * channels];
    if (channels == 3)
      std::copy_n(rgb, 3, to);
    else
      *to = luma(rgb);
  }
  return image;
}

Image read_image(const std::string& path, int64_t channels) {
  const InputFile file(path);
  check(file.size() <= kMaxFileBytes, "{}: {} bytes, expected an image of at most {}", path, file.size(),
        kMaxFileBytes);
  std::string bytes(file.size(), '\0');
  file.read(0, bytes.data(), file.size());
  return decode_image(bytes, channels, path);
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
  check(ok != 0, "resize from {} x {} to {} x {} pixels: out of memory", image.width, image.height, width, height);
  return result;
}

std::string encode_png(const Image& image) {
  std::string bytes;
  const auto append = [](void* to, void* data, int size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(data), size);
  };
  check(stbi_write_png_to_func(append, &bytes, image.width, image.height, image.channels, image.pixels.data(), 0) != 0,
        "encode_png: out of memory");
  return bytes;
}

}  // namespace lookalike
