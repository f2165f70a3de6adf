#include "engine/data/exif.h"

#include <algorithm>
#include <cstdint>

namespace lookalike {
namespace {

using std::string_view_literals::operator""sv;

// Copies pixel by pixel, the source's place moved by `along` and `down` for each column and row of the result. In blocks, since the
// one or the other walks through the source across its rows.
template <int channels>
void turn(const uint8_t* from, int64_t along, int64_t down, Image& to) {
  constexpr int64_t kBlock = 32;
  for (int64_t y0 = 0; y0 < to.height; y0 += kBlock)
    for (int64_t x0 = 0; x0 < to.width; x0 += kBlock)
      for (int64_t y = y0; y < std::min(y0 + kBlock, to.height); y++)
        for (int64_t x = x0; x < std::min(x0 + kBlock, to.width); x++)
          std::copy_n(from + (y * down + x * along) * channels, channels, &to.pixels[(y * to.width + x) * channels]);
}

}  // namespace

int exif_orientation(std::string_view exif) {
  if (exif.starts_with("Exif\0\0"sv)) exif.remove_prefix(6);
  const bool little = exif.starts_with("II*\0"sv);
  if (!little && !exif.starts_with("MM\0*"sv)) return 1;
  const auto number = [&](size_t at, size_t bytes) {
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++)
      value = value << 8 | static_cast<uint8_t>(exif[little ? at + bytes - 1 - i : at + i]);
    return value;
  };
  constexpr size_t kEntry = 12;
  constexpr uint32_t kOrientation = 0x0112, kShort = 3;
  if (exif.size() < 8) return 1;
  const size_t directory = number(4, 4);
  if (exif.size() < 2 || directory > exif.size() - 2) return 1;
  const size_t fitting = (exif.size() - directory - 2) / kEntry;
  for (size_t i = 0; i < std::min<size_t>(number(directory, 2), fitting); i++) {
    const size_t entry = directory + 2 + i * kEntry;
    if (number(entry, 2) != kOrientation) continue;
    const uint32_t value = number(entry + 8, 2);
    return number(entry + 2, 2) == kShort && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Image upright(Image stored, int orientation) {
  if (orientation == 1) return stored;
  const int64_t height = stored.height, width = stored.width;
  const bool transposes = orientation >= 5;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  Image result{transposes ? width : height, transposes ? height : width, stored.channels,
               std::vector<uint8_t>(stored.pixels.size())};
  const int64_t row = from_bottom ? -width : width, column = from_right ? -1 : 1;
  const uint8_t* from = stored.pixels.data() +
                        ((from_bottom ? (height - 1) * width : 0) + (from_right ? width - 1 : 0)) * stored.channels;
  const auto copy = stored.channels == 1 ? turn<1> : turn<3>;
  copy(from, transposes ? row : column, transposes ? column : row, result);
  return result;
}

}  // namespace lookalike
