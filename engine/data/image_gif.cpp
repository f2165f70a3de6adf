// The first picture of a GIF file (GIF89a specification, W3C). Not by stb_image, which refuses pictures that defer the
// clear code of their LZW coding, as the specification allows, and leaves what is missing of a picture transparent.
#include <algorithm>
#include <array>

#include "engine/core/error.h"
#include "engine/data/image_decode.h"

namespace lookalike {
namespace {

constexpr size_t kGifCodes = 4096;

class GifReader {
 public:
  GifReader(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {}
  std::string_view take(size_t count) {
    check(bytes_.size() - at_ >= count, "{}: truncated GIF, it ends inside its first picture", name_);
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  uint32_t number(int count) { return little_endian(take(count), 0, count); }
  // The data of the blocks that follow, joined; each begins with its length, the last has none.
  std::string blocks() {
    std::string data;
    while (const size_t length = number(1)) data += take(length);
    return data;
  }

 private:
  std::string_view bytes_;
  const std::string& name_;
  size_t at_ = 0;
};

// `count` palette indices in the order they are stored in.
std::vector<uint8_t> unpack(std::string_view data, int root_bits, size_t count, const std::string& name) {
  check(root_bits >= 1 && root_bits <= 8, "{}: damaged GIF, {} bits a code, expected from 1 to 8", name, root_bits);
  const size_t clear = size_t{1} << root_bits, end = clear + 1, none = kGifCodes;
  // A code stands for the string of its prefix and one index more.
  std::array<uint16_t, kGifCodes> prefix, length;
  std::array<uint8_t, kGifCodes> last, first;
  for (size_t code = 0; code < clear; code++) {
    length[code] = 1;
    last[code] = first[code] = static_cast<uint8_t>(code);
  }
  std::vector<uint8_t> indices;
  size_t known = end + 1, previous = none;
  int bits = root_bits + 1, held = 0;
  uint32_t window = 0;
  for (size_t at = 0; indices.size() < count;) {
    for (; held < bits && at < data.size(); held += 8) window |= static_cast<uint8_t>(data[at++]) << held;
    check(held >= bits, "{}: truncated GIF, its first picture lacks {} of {} pixels", name, count - indices.size(),
          count);
    const size_t code = window & ((1u << bits) - 1);
    window >>= bits, held -= bits;
    if (code == clear) {
      known = end + 1, previous = none, bits = root_bits + 1;
      continue;
    }
    check(code != end, "{}: truncated GIF, its first picture lacks {} of {} pixels", name, count - indices.size(),
          count);
    // A code may name the string that it completes itself.
    check(code < known || (code == known && previous != none && known < kGifCodes),
          "{}: damaged GIF, a code that stands for nothing", name);
    if (previous != none && known < kGifCodes) {
      prefix[known] = static_cast<uint16_t>(previous);
      length[known] = length[previous] + 1;
      first[known] = first[previous];
      last[known] = first[code == known ? previous : code];
      known++;
      if (known == size_t{1} << bits && bits < 12) bits++;
    }
    const size_t begin = indices.size();
    indices.resize(begin + length[code]);
    for (size_t i = length[code], c = code; i-- > 0; c = prefix[c]) indices[begin + i] = last[c];
    previous = code;
  }
  return indices;
}

// Rows of an interlaced picture come in four passes.
std::vector<int64_t> stored_order(int64_t height, bool interlaced) {
  std::vector<int64_t> rows;
  const auto pass = [&](int64_t begin, int64_t step) {
    for (int64_t y = begin; y < height; y += step) rows.push_back(y);
  };
  if (!interlaced) {
    pass(0, 1);
    return rows;
  }
  pass(0, 8), pass(4, 8), pass(2, 4), pass(1, 2);
  return rows;
}

}  // namespace

Image decode_gif(std::string_view bytes, int64_t channels, const std::string& name) {
  GifReader reader(bytes, name);
  reader.take(6);
  const int64_t width = reader.number(2), height = reader.number(2);
  check_size(width, height, name);
  const auto take_palette = [&](uint32_t flags) {
    return flags & 0x80 ? reader.take(size_t{6} << (flags & 7)) : std::string_view();
  };
  const uint32_t screen = reader.number(1);
  reader.take(2);
  std::string_view palette = take_palette(screen);
  int transparent = -1;
  for (;;) {
    const uint32_t tag = reader.number(1);
    if (tag == 0x2C) break;
    check(tag == 0x21, "{}: damaged GIF, expected a picture", name);
    const uint32_t label = reader.number(1);
    const std::string control = reader.blocks();
    if (label == 0xF9 && control.size() >= 4) transparent = control[0] & 1 ? static_cast<uint8_t>(control[3]) : -1;
  }

  const int64_t left = reader.number(2), top = reader.number(2), across = reader.number(2), down = reader.number(2);
  check(left + across <= width && top + down <= height, "{}: damaged GIF, a picture that reaches out of its screen",
        name);
  const uint32_t flags = reader.number(1);
  if (flags & 0x80) palette = take_palette(flags);
  const int root_bits = static_cast<int>(reader.number(1));
  const std::string data = reader.blocks();
  const std::vector<uint8_t> indices = unpack(data, root_bits, across * down, name);

  Image image{height, width, 3, std::vector<uint8_t>(height * width * 3, 255)};
  const uint8_t* index = indices.data();
  for (const int64_t y : stored_order(down, flags & 0x40)) {
    for (int64_t x = 0; x < across; x++, index++) {
      if (*index == transparent) continue;
      check(3u * *index < palette.size(), "{}: damaged GIF, colour {} of a palette of {}", name, *index,
            palette.size() / 3);
      std::copy_n(palette.begin() + 3 * *index, 3, &image.pixels[((top + y) * width + left + x) * 3]);
    }
  }
  return with_channels(image, channels);
}

}  // namespace lookalike
