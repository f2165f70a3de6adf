#include "engine/data/image_decode.h"

#include <algorithm>
#include <array>

#include "engine/core/error.h"
#include "engine/io/input_file.h"

namespace lookalike {
namespace {

using std::string_view_literals::operator""sv;

constexpr int64_t kMaxFileBytes = int64_t{1} << 28;
constexpr const char* kExpected = "expected a JPEG, PNG, WebP, GIF or BMP file";

struct ImageFormat {
  bool (*matches)(std::string_view bytes);
  Image (*decode)(std::string_view bytes, int64_t channels, const std::string& name);
};

// "BM" begins many a text; the size of the header behind it tells a BMP file.
bool is_bmp(std::string_view bytes) {
  if (!bytes.starts_with("BM") || bytes.size() < 18) return false;
  constexpr std::array<uint32_t, 7> kHeaders{12, 40, 52, 56, 64, 108, 124};
  return std::ranges::find(kHeaders, little_endian(bytes, 14, 4)) != kHeaders.end();
}

constexpr std::array<ImageFormat, 5> kImageFormats{{
    {[](std::string_view bytes) { return bytes.starts_with("\xff\xd8\xff"); }, decode_jpeg},
    {[](std::string_view bytes) { return bytes.starts_with("\x89PNG\r\n\x1a\n"); }, decode_png},
    {[](std::string_view bytes) { return bytes.starts_with("RIFF") && bytes.substr(8).starts_with("WEBP"); },
     decode_webp},
    {[](std::string_view bytes) { return bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a"); }, decode_gif},
    {is_bmp, decode_bmp},
}};

const ImageFormat* format_of(std::string_view bytes) {
  // Each signature reaches to byte 18 at most, and substr() needs the first eight.
  if (bytes.size() < 8) return nullptr;
  const auto found =
      std::ranges::find_if(kImageFormats, [&](const ImageFormat& format) { return format.matches(bytes); });
  return found == kImageFormats.end() ? nullptr : &*found;
}

}  // namespace

void check_size(int64_t width, int64_t height, const std::string& name) {
  check(width >= 1 && height >= 1, "{}: {} x {} pixels, expected at least one", name, width, height);
  constexpr int64_t kMaxSide = int64_t{1} << 24;  // stb_image's own
  check(width <= kMaxSide && height <= kMaxSide && width * height <= kMaxPixels,
        "{}: {} x {} pixels, expected at most {}, and {} a side", name, width, height, kMaxPixels, kMaxSide);
}

bool is_image(std::string_view bytes) {
  return format_of(bytes) != nullptr;
}

std::string kind_of_file(std::string_view bytes) {
  struct Kind {
    size_t at;
    std::string_view signature;
    const char* name;
  };
  static constexpr std::array kKinds{
      Kind{4, "ftyphei"sv, "a HEIC picture"},
      Kind{4, "ftyphev"sv, "a HEIC picture"},
      Kind{4, "ftypmif1"sv, "a HEIC picture"},
      Kind{4, "ftypmsf1"sv, "a HEIC picture"},
      Kind{4, "ftypavi"sv, "an AVIF picture"},
      Kind{4, "ftyp"sv, "a video"},
      Kind{4, "jP  "sv, "a JPEG 2000 picture"},
      Kind{4, "JXL "sv, "a JPEG XL picture"},
      Kind{0, "\xff\x0a"sv, "a JPEG XL picture"},
      Kind{0, "II*\0"sv, "a TIFF picture"},
      Kind{0, "MM\0*"sv, "a TIFF picture"},
      Kind{0, "8BPS"sv, "a Photoshop picture"},
      Kind{0, "%PDF"sv, "a PDF document"},
      Kind{0, "<svg"sv, "an SVG drawing"},
      Kind{0, "<!DOCTYPE svg"sv, "an SVG drawing"},
      Kind{0, "<!DOCTYPE html"sv, "an HTML page"},
      Kind{0, "<!doctype html"sv, "an HTML page"},
      Kind{0, "<html"sv, "an HTML page"},
      Kind{0, "version https://git-lfs"sv, "a pointer to a file in Git LFS"},
  };
  for (const Kind& kind : kKinds)
    if (bytes.size() > kind.at && bytes.substr(kind.at).starts_with(kind.signature)) return kind.name;
  // An SVG drawing begins with its XML declaration or a comment more often than not.
  if (bytes.starts_with("<?xml") || bytes.starts_with("<!--"))
    return bytes.substr(0, kSignatureBytes).find("<svg") != std::string_view::npos ? "an SVG drawing" : "an XML file";
  return "";
}

Image flattened(const uint8_t* pixels, int64_t height, int64_t width, int64_t found, int64_t channels) {
  if (found == channels) return {height, width, channels, {pixels, pixels + height * width * channels}};
  const bool alpha = found == 2 || found == 4, colour = found >= 3;
  Image image{height, width, channels, std::vector<uint8_t>(height * width * channels)};
  for (int64_t i = 0; i < height * width; i++) {
    const uint8_t* from = pixels + i * found;
    uint8_t rgb[3];
    for (int c = 0; c < 3; c++)
      rgb[c] = alpha ? over_white(from[colour ? c : 0], from[found - 1]) : from[colour ? c : 0];
    uint8_t* to = &image.pixels[i * channels];
    if (channels == 3)
      std::copy_n(rgb, 3, to);
    else
      *to = luma(rgb);
  }
  return image;
}

Image decode_image(std::string_view bytes, int64_t channels, const std::string& name) {
  check(channels == 1 || channels == 3, "decode_image: {} channels, expected 1 or 3", channels);
  check(!bytes.empty(), "{}: the file is empty, {}", name, kExpected);
  const ImageFormat* format = format_of(bytes);
  if (!format) {
    const std::string kind = kind_of_file(bytes);
    if (!kind.empty()) fail("{}: {}, which is not read; {}", name, kind, kExpected);
    fail("{}: not an image, {}", name, kExpected);
  }
  return format->decode(bytes, channels, name);
}

Image read_image(const std::string& path, int64_t channels) {
  const InputFile file(path);
  check(file.size() <= kMaxFileBytes, "{}: {} bytes, expected an image of at most {}", path, file.size(),
        kMaxFileBytes);
  std::string bytes(file.size(), '\0');
  file.read(0, bytes.data(), file.size());
  return decode_image(bytes, channels, path);
}

}  // namespace lookalike
