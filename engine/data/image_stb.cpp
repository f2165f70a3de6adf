// PNG and BMP by stb_image, which asks for help: it looks at no checksum, reads zeros behind the end of a file, and takes
// colours that a palette does not have from memory that nobody wrote.
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>

#include <zlib.h>

#include "engine/core/error.h"
#include "engine/data/exif.h"
#include "engine/data/image_decode.h"

namespace lookalike {
namespace {

// stb_image unpacks what a PNG file holds into memory that grows for as long as there is more. This
// ends where it has twice what the picture needs; of the other blocks none grows beyond twice the
// file.
thread_local size_t stb_growth_limit = 0;
void* stb_reallocate(void* block, size_t bytes) {
  return bytes <= stb_growth_limit ? std::realloc(block, bytes) : nullptr;
}

}  // namespace
}  // namespace lookalike

#define STBI_MALLOC(bytes) std::malloc(bytes)
#define STBI_FREE(block) std::free(block)
#define STBI_REALLOC_SIZED(block, old_bytes, bytes) lookalike::stb_reallocate(block, bytes)

// GCC takes what only readers through callbacks use for uninitialised.
#pragma GCC diagnostic push
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace lookalike {
namespace {

constexpr size_t kSignatureSize = 8, kBmpColours = 256;

struct PngChunks {
  size_t palette = 0;  // where it is, if there is one
  int orientation = 1;
  size_t unpacked = 0;  // bytes of its rows, unpacked; of interlaced ones up to twice as many
};

// By the kind of colour: grey, RGB, a palette, grey and RGB with alpha.
size_t png_channels(int colour_type) {
  return colour_type == 2 ? 3 : colour_type == 4 ? 2 : colour_type == 6 ? 4 : 1;
}

// Walks the chunks to IEND; stb_image looks at no checksum, and each chunk's own tells a damaged file.
PngChunks check_png(std::string_view bytes, const std::string& name) {
  PngChunks chunks;
  bool first = true;
  for (size_t at = kSignatureSize; bytes.size() - at >= 12; first = false) {
    const uint32_t length = big_endian(bytes, at, 4);
    if (length > bytes.size() - at - 12) break;
    const std::string_view body = bytes.substr(at + 4, 4 + length);
    check(crc32(0, reinterpret_cast<const Bytef*>(body.data()), 4 + length) == big_endian(bytes, at + 8 + length, 4),
          "{}: damaged PNG, the checksum of a chunk is wrong", name);
    if (first) {
      check(body.starts_with("IHDR") && length == 13, "{}: damaged PNG, it does not begin with its size", name);
      const size_t width = big_endian(body, 4, 4), height = big_endian(body, 8, 4);
      check_size(width, height, name);
      const size_t depth = big_endian(body, 12, 1), channels = png_channels(static_cast<int>(big_endian(body, 13, 1)));
      chunks.unpacked = height * (1 + (width * depth + 7) / 8 * channels);
    }
    if (body.starts_with("PLTE")) chunks.palette = at;
    if (body.starts_with("eXIf")) chunks.orientation = exif_orientation(body.substr(4));
    if (body.starts_with("IEND")) return chunks;
    at += 12 + length;
  }
  fail("{}: truncated PNG, it ends before its IEND chunk", name);
}

// Nothing may grow beyond `unpacked` bytes twice over, nor beyond the file.
Image decode_by_stb(std::string_view bytes, int64_t channels, const std::string& name, size_t unpacked) {
  constexpr size_t kLeast = 4096;  // where it begins
  stb_growth_limit = std::max({2 * unpacked, 2 * bytes.size(), kLeast});
  // Asked for all channels there are (0): it drops alpha where it should blend.
  int width = 0, height = 0, found = 0;
  errno = 0;  // malloc tells in it what stb_image tells but now and then
  const std::unique_ptr<stbi_uc, void (*)(void*)> decoded(
      stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(bytes.data()), static_cast<int>(bytes.size()), &width,
                            &height, &found, 0),
      stbi_image_free);
  if (!decoded && errno == ENOMEM) throw std::bad_alloc();
  if (!decoded && std::string_view(stbi_failure_reason()) == "outofmem")
    fail("{}: damaged image, its data goes on behind its pixels", name);
  check(decoded != nullptr, "{}: damaged image ({})", name, stbi_failure_reason());
  return flattened(decoded.get(), height, width, found, channels);
}

std::string little_endian_of(uint32_t value) {
  std::string bytes(4, '\0');
  for (char& byte : bytes) byte = static_cast<char>(value), value >>= 8;
  return bytes;
}

}  // namespace

Image decode_png(std::string_view bytes, int64_t channels, const std::string& name) {
  const PngChunks chunks = check_png(bytes, name);
  std::string whole_palette;
  if (chunks.palette > 0) {
    const size_t length = big_endian(bytes, chunks.palette, 4), begin = chunks.palette + 8;
    if (length < 3 * kBmpColours && length % 3 == 0) {
      const std::string black(3 * kBmpColours - length, '\0');
      whole_palette.append(bytes.substr(0, chunks.palette)).append(std::string_view("\0\0\3\0PLTE", 8));
      whole_palette.append(bytes.substr(begin, length)).append(black).append(bytes.substr(begin + length));
      bytes = whole_palette;
    }
  }
  return upright(decode_by_stb(bytes, channels, name, chunks.unpacked), chunks.orientation);
}

// stb_image knows no gap between the headers and the pixels, and two of the headers wrongly. So it gets a file in one form:
// the header of 12 bytes as it is, any other grown to the 108 of version 4, a whole palette, the pixels.
Image decode_bmp(std::string_view bytes, int64_t channels, const std::string& name) {
  constexpr size_t kFileHeader = 14, kInfo = 40, kMasks = 16, kVersion4 = 108;
  const auto require = [&](size_t end) {
    check(bytes.size() >= end, "{}: truncated BMP, {} bytes, expected at least {}", name, bytes.size(), end);
  };
  require(kFileHeader + 12);
  const size_t offset = little_endian(bytes, 10, 4), header = little_endian(bytes, kFileHeader, 4);
  const bool old = header == 12;
  require(kFileHeader + header);
  const int64_t width = little_endian(bytes, 18, old ? 2 : 4);
  // A negative height says that the rows begin at the top.
  const int64_t height = old ? little_endian(bytes, 20, 2) : std::abs(int64_t{int32_t(little_endian(bytes, 22, 4))});
  check_size(width, height, name);
  const size_t depth = little_endian(bytes, old ? 24 : 28, 2), compression = old ? 0 : little_endian(bytes, 30, 4);
  check(compression == 0 || compression == 3, "{}: a BMP file with compression {}, which is not read; expected none",
        name, compression);
  // Where the header is too short for them, the masks of the colours follow it.
  const size_t palette = kFileHeader + header + (compression == 3 && header == kInfo ? 12 : 0);
  const size_t size = height * ((width * depth + 31) / 32 * 4);
  check(depth <= 32 && offset >= palette, "{}: damaged BMP, its pixels begin inside its header", name);
  require(offset + size);

  std::string usual(bytes.substr(0, kFileHeader + (old ? header : kInfo)));
  if (!old) {
    const size_t masks = header == kInfo ? 12 : std::min(header - kInfo, kMasks);
    if (compression == 3) usual.append(bytes.substr(kFileHeader + kInfo, masks));
    usual.resize(kFileHeader + kVersion4);
    usual.replace(kFileHeader, 4, little_endian_of(kVersion4));
  }
  if (depth < 16) {
    const size_t entry = old ? 3 : 4, begin = usual.size();
    usual.append(bytes.substr(palette, std::min(offset - palette, kBmpColours * entry)));
    // It overlooks four colours of the old form.
    usual.resize(begin + (kBmpColours + (old ? 4 : 0)) * entry);
  }
  usual.replace(10, 4, little_endian_of(static_cast<uint32_t>(usual.size())));
  usual.append(bytes.substr(offset, size));
  return decode_by_stb(usual, channels, name, 0);
}

}  // namespace lookalike
