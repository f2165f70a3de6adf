#include "tests/unit/data_files.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include "engine/core/error.h"

namespace lookalike {

std::vector<Pair> numbered_pairs(int count) {
  std::vector<Pair> pairs;
  for (int i = 0; i < count; i++) pairs.push_back({fmt::format("l{}", i), fmt::format("r{}", i)});
  return pairs;
}

Image test_image(int64_t height, int64_t width, int64_t channels, int seed) {
  Image image{height, width, channels, {}};
  for (int64_t y = 0; y < height; y++)
    for (int64_t x = 0; x < width; x++)
      for (int64_t c = 0; c < channels; c++)
        image.pixels.push_back((y * 7 + x * 5 + c * 60 + (seed * 97 + 13) * (x / 3 + y / 3 + 1)) & 255);
  return image;
}

namespace {

std::string number(uint32_t value, int bytes) {
  std::string text;
  while (bytes-- > 0) text += static_cast<char>(value >> 8 * bytes);
  return text;
}

std::string chunk(const std::string& type, std::string_view content) {
  const std::string body = type + std::string(content);
  return number(content.size(), 4) + body +
         number(crc32(0, reinterpret_cast<const Bytef*>(body.data()), body.size()), 4);
}

std::string segment(int marker, const std::string& content) {
  return number(0xFF00 | marker, 2) + number(content.size() + 2, 2) + content;
}

}  // namespace

std::string png_file(int width, int height, int bit_depth, int color_type, std::string_view rows,
                     std::string_view palette, std::string_view transparency) {
  std::string packed(compressBound(rows.size()), '\0');
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(rows.data()), rows.size());
  packed.resize(size);
  std::string file = "\x89PNG\r\n\x1a\n" + chunk("IHDR", number(width, 4) + number(height, 4) + number(bit_depth, 1) +
                                                             number(color_type, 1) + number(0, 3));
  if (!palette.empty()) file += chunk("PLTE", palette);
  if (!transparency.empty()) file += chunk("tRNS", transparency);
  return file + chunk("IDAT", packed) + chunk("IEND", "");
}

std::string jpeg_file(const std::vector<int>& levels, int adobe) {
  const int channels = static_cast<int>(levels.size());
  std::string file = "\xFF\xD8";
  if (adobe >= 0) file += segment(0xEE, "Adobe" + number(100, 2) + number(0, 4) + number(adobe, 1));
  file +=
      segment(0xDB, number(0, 1) + std::string(64, '\x08'));  // in steps of 8, and a block's DC is 8 times its level
  std::string frame = number(8, 1) + number(8, 2) + number(8, 2) + number(channels, 1), scan = number(channels, 1);
  for (int c = 1; c <= channels; c++) {
    frame += number(c << 16 | 0x1100, 3);
    scan += number(c << 8, 2);
  }
  file += segment(0xC0, frame);
  // DC: the one code 0 announces 7 bits; AC: the one code 0 ends the block.
  const std::string one_code = number(1, 1) + std::string(15, '\0');
  file += segment(0xC4, number(0x00, 1) + one_code + number(7, 1));
  file += segment(0xC4, number(0x10, 1) + one_code + number(0, 1));
  file += segment(0xDA, scan + number(0x003F00, 3));
  std::string bits;
  for (const int level : levels) {
    const int difference = level - 128, coded = difference >= 0 ? difference : difference + 127;
    bits += '0';
    for (int bit = 6; bit >= 0; bit--) bits += coded >> bit & 1 ? '1' : '0';
    bits += '0';
  }
  while (bits.size() % 8 != 0) bits += '1';
  for (size_t at = 0; at < bits.size(); at += 8) {
    const int byte = std::stoi(bits.substr(at, 8), nullptr, 2);
    file += static_cast<char>(byte);
    if (byte == 0xFF) file += '\0';
  }
  return file + "\xFF\xD9";
}

std::string with_png_chunk(const std::string& png, const std::string& type, const std::string& data) {
  constexpr size_t kBehindHeader = 8 + 25;
  return png.substr(0, kBehindHeader) + chunk(type, data) + png.substr(kBehindHeader);
}

void write_pairs_folder(const DataFolder& folder, int count, int64_t size) {
  std::string csv = "left,right\n";
  for (int i = 0; i < count; i++) {
    folder.write(fmt::format("left/a{}.png", i), encode_png(test_image(size, size, 3, i)));
    folder.write(fmt::format("right/b{}.png", i), encode_png(test_image(size, size, 3, i + 100)));
    csv += fmt::format("a{},b{}.png\n", i, i);
  }
  folder.write("pairs.csv", csv);
}

}  // namespace lookalike
