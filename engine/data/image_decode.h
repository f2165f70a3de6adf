// The decoders of single formats behind decode_image(): each checks what the file claims before it allocates for it, and
// ends in an Error that begins with `name` where the first picture in it is not whole.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/data/image.h"

namespace lookalike {

// Error where a picture has no pixel or more than kMaxPixels.
void check_size(int64_t width, int64_t height, const std::string& name);

// What a decoder found, grey, grey with alpha, RGB or RGBA (`found` = 1 to 4), as grey or colour without transparency.
Image flattened(const uint8_t* pixels, int64_t height, int64_t width, int64_t found, int64_t channels);

Image decode_jpeg(std::string_view bytes, int64_t channels, const std::string& name);
Image decode_png(std::string_view bytes, int64_t channels, const std::string& name);
Image decode_webp(std::string_view bytes, int64_t channels, const std::string& name);
Image decode_gif(std::string_view bytes, int64_t channels, const std::string& name);
Image decode_bmp(std::string_view bytes, int64_t channels, const std::string& name);

// An unsigned number of `count` bytes, which must be there.
inline uint32_t big_endian(std::string_view bytes, size_t at, int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; i++) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}
inline uint32_t little_endian(std::string_view bytes, size_t at, int count) {
  uint32_t value = 0;
  for (int i = count - 1; i >= 0; i--) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

}  // namespace lookalike
