#include <algorithm>
#include <cstdlib>

#include <doctest/doctest.h>

#include "engine/core/random.h"
#include "engine/data/exif.h"
#include "tests/unit/picture_files.h"

namespace lookalike {
namespace {

using Pixels = std::vector<uint8_t>;
using std::string_literals::operator""s;

Image read(const std::string& bytes, int64_t channels = 3) {
  return decode_image(bytes, channels, "x");
}

std::string read_error(const std::string& bytes) {
  return error_of([&] { read(bytes); });
}

bool same(const Image& a, const Image& b) {
  return a.height == b.height && a.width == b.width && a.channels == b.channels && a.pixels == b.pixels;
}

int largest_difference(const Image& a, const Image& b) {
  REQUIRE(a.pixels.size() == b.pixels.size());
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); i++) largest = std::max(largest, std::abs(a.pixels[i] - b.pixels[i]));
  return largest;
}

Image noise(int64_t height, int64_t width, int64_t channels) {
  Random random(7, RandomUse::test);
  Image image{height, width, channels, Pixels(height * width * channels)};
  for (uint8_t& pixel : image.pixels) pixel = static_cast<uint8_t>(random.below(256));
  return image;
}

Image gradient(int64_t height, int64_t width, int64_t channels) {
  Image image{height, width, channels, {}};
  for (int64_t y = 0; y < height; y++)
    for (int64_t x = 0; x < width; x++)
      for (int64_t c = 0; c < channels; c++) image.pixels.push_back(static_cast<uint8_t>(60 + 3 * x + (2 + c) * y));
  return image;
}

Image transposed(const Image& image) {
  Image result{image.width, image.height, image.channels, {}};
  for (int64_t x = 0; x < image.width; x++)
    for (int64_t y = 0; y < image.height; y++)
      for (int64_t c = 0; c < image.channels; c++)
        result.pixels.push_back(image.pixels[(y * image.width + x) * image.channels + c]);
  return result;
}

Image mirrored(const Image& image) {
  Image result = image;
  for (int64_t y = 0; y < image.height; y++)
    for (int64_t x = 0; x < image.width; x++)
      std::copy_n(&image.pixels[(y * image.width + image.width - 1 - x) * image.channels], image.channels,
                  &result.pixels[(y * image.width + x) * image.channels]);
  return result;
}

Image flipped(const Image& image) {
  return transposed(mirrored(transposed(image)));
}

// As the standard describes the eight: where row 0 and column 0 of what is stored are seen.
std::vector<Image> all_upright(const Image& stored) {
  const Image turned = transposed(stored);
  return {stored, mirrored(stored), mirrored(flipped(stored)), flipped(stored),
          turned, mirrored(turned), mirrored(flipped(turned)), flipped(turned)};
}

// Rows from the bottom, padded; `pack` makes the bytes of one pixel.
template <class Pack>
std::string bmp_rows(const Image& image, const Pack& pack, bool from_top = false) {
  std::string rows;
  for (int64_t i = 0; i < image.height; i++) {
    std::string row;
    const int64_t y = from_top ? i : image.height - 1 - i;
    for (int64_t x = 0; x < image.width; x++) row += pack(&image.pixels[(y * image.width + x) * image.channels]);
    row.resize((row.size() + 3) / 4 * 4);
    rows += row;
  }
  return rows;
}

std::string bgr(const uint8_t* p) {
  return {static_cast<char>(p[2]), static_cast<char>(p[1]), static_cast<char>(p[0])};
}

#ifdef LOOKALIKE_HAS_WEBP
std::string animated_webp() {
  const std::string first = webp_file(Pixels{9, 8, 7, 255}, 1, 1), second = webp_file(Pixels(8, 255), 2, 1);
  const auto frame = [](const std::string& file, int x, int width) {
    return riff_chunk("ANMF", number_of(x / 2, 3) + number_of(0, 3) + number_of(width - 1, 3) + number_of(0, 3) +
                                  number_of(40, 3) + number_of(0, 1) + file.substr(12));
  };
  return webp_extended(0x12, 4, 1, riff_chunk("ANIM", number_of(0, 6)) + frame(first, 2, 1) + frame(second, 0, 2));
}
#endif

// One of each format, small enough for a test at each byte.
std::vector<std::string> small_files() {
  const Image image = test_image(5, 6, 3);
  std::vector<std::string> files{libjpeg_file(image), libjpeg_file(image, {.progressive = true}), encode_png(image),
                                 gif_file(test_image(5, 6, 1).pixels, 6, 5),
                                 bmp_file(40, 6, 5, 24, 0, "", bmp_rows(image, bgr))};
#ifdef LOOKALIKE_HAS_WEBP
  files.push_back(webp_file(with_alpha(image), 6, 5));
  files.push_back(webp_file(with_alpha(image), 6, 5, 90));
  files.push_back(animated_webp());
#endif
  return files;
}

}  // namespace

TEST_CASE("JPEG: baseline and progressive, grey and colour, with restarts and subsampled") {
  const Image colour = gradient(21, 35, 3), grey = gradient(21, 35, 1);
  const Image baseline = read(libjpeg_file(colour));
  CHECK(largest_difference(baseline, colour) < 12);
  CHECK(same(read(libjpeg_file(colour, {.progressive = true})), baseline));
  CHECK(same(read(libjpeg_file(colour, {.restart = 2})), baseline));
  CHECK(largest_difference(read(libjpeg_file(colour, {.subsampled = true})), colour) < 12);
  CHECK(largest_difference(read(libjpeg_file(grey), 1), grey) < 12);
  CHECK(same(with_channels(read(libjpeg_file(grey), 1), 3), read(libjpeg_file(grey))));
  CHECK(largest_difference(read(libjpeg_file(colour), 1), with_channels(baseline, 1)) < 4);
}

TEST_CASE("JPEG: inks with the transform of YCCK") {
  const Image inks{8, 8, 4, Pixels(256, 255)};
  Image magenta = inks;
  for (size_t i = 1; i < magenta.pixels.size(); i += 4) magenta.pixels[i] = 20;
  const Image image = read(libjpeg_file(magenta));
  CHECK(image.pixels[0] > 250);
  CHECK(std::abs(image.pixels[1] - 20) < 5);
  CHECK(image.pixels[2] > 250);
}

TEST_CASE("JPEG: oddities of cameras are harmless, damage is not") {
  const Image image = noise(32, 32, 3);
  const std::string jpeg = libjpeg_file(image), progressive = libjpeg_file(image, {.progressive = true});
  const Image whole = read(jpeg);
  const std::string body = jpeg.substr(0, jpeg.size() - 2), end = "\xFF\xD9";
  CHECK(same(read(body + "\x01\x02" + end), whole));
  CHECK(same(read(body + "\xFF\xFF" + end), whole));
  CHECK(same(read(jpeg + "trailing"), whole));
  std::string samsung = jpeg;  // its cameras have written a spectral selection that ends at 0
  samsung[samsung.find("\xFF\xDA") + 12] = '\0';
  CHECK(same(read(samsung), whole));
  CHECK(same(read(with_segment(jpeg, 0xE1, "http://ns.adobe.com/xap/1.0/")), whole));

  CHECK(read_error(body).starts_with("x: truncated JPEG"));
  CHECK(read_error(jpeg.substr(0, jpeg.size() / 2) + end).starts_with("x: damaged JPEG"));
  std::string claims = jpeg;
  claims.replace(claims.find("\xFF\xC0") + 5, 4, "\x1F\x40\x1F\x40");
  CHECK(read_error(claims).starts_with("x: truncated JPEG, "));
  claims.replace(claims.find("\xFF\xC0") + 5, 4, "\xFF\x00\xFF\x00"s);
  CHECK(read_error(claims).find("65280 x 65280 pixels, expected at most") != std::string::npos);
  // The last scan again and again.
  const std::string scan = progressive.substr(progressive.rfind("\xFF\xDA"));
  std::string scans = progressive.substr(0, progressive.size() - 2);
  for (int i = 0; i < 120; i++) scans += scan.substr(0, scan.size() - 2);
  CHECK(read_error(scans + end) != "");
}

TEST_CASE("the orientation in Exif metadata is applied, of all formats that have it") {
  const Image image = test_image(40, 37, 3);
  const std::string jpeg = libjpeg_file(image), png = encode_png(image);
  const std::vector<Image> turned_jpeg = all_upright(read(jpeg)), turned = all_upright(image);
  for (int orientation = 1; orientation <= 8; orientation++) {
    CAPTURE(orientation);
    for (const bool little : {false, true}) {
      const std::string exif = exif_block(orientation, little);
      CHECK(same(read(with_segment(jpeg, 0xE1, "Exif\0\0"s + exif)), turned_jpeg[orientation - 1]));
      CHECK(same(read(with_png_chunk(png, "eXIf", exif)), turned[orientation - 1]));
#ifdef LOOKALIKE_HAS_WEBP
      const std::string picture = webp_file(with_alpha(image), 37, 40).substr(12);
      CHECK(same(read(webp_extended(0x08, 37, 40, picture + riff_chunk("EXIF", exif))), turned[orientation - 1]));
#endif
    }
    const Image grey = read(png, 1);
    CHECK(
        same(read(with_png_chunk(png, "eXIf", exif_block(orientation, true)), 1), all_upright(grey)[orientation - 1]));
  }
}

TEST_CASE("Exif metadata that are cut or wrong say nothing") {
  const std::string exif = exif_block(6, true);
  CHECK(exif_orientation(exif) == 6);
  for (size_t size = 0; size < exif.size(); size++) {
    const int orientation = exif_orientation(exif.substr(0, size));
    CHECK((orientation == 1 || orientation == 6));
  }
  for (size_t at = 0; at < exif.size(); at++) {
    std::string damaged = exif;
    damaged[at] = '\xFF';
    const int orientation = exif_orientation(damaged);
    CHECK((orientation == 1 || orientation == 6));
  }
  CHECK(exif_orientation(exif_block(0, false)) == 1);
  CHECK(exif_orientation(exif_block(9, false)) == 1);
}

#ifdef LOOKALIKE_HAS_WEBP
TEST_CASE("WebP: lossless, lossy, alpha on white, the first picture of an animation") {
  const Image image = test_image(9, 14, 3);
  CHECK(same(read(webp_file(with_alpha(image), 14, 9)), image));
  CHECK(same(read(webp_file(with_alpha(image), 14, 9), 1), with_channels(image, 1)));
  const Image flat{20, 20, 3, Pixels(1200, 100)};
  CHECK(largest_difference(read(webp_file(with_alpha(flat), 20, 20, 90)), flat) < 5);
  CHECK(read(webp_file(Pixels{0, 100, 200, 0, 0, 100, 200, 128}, 2, 1)).pixels == Pixels{255, 255, 255, 127, 177, 227});
  CHECK(read(animated_webp()).pixels == Pixels{255, 255, 255, 255, 255, 255, 9, 8, 7, 255, 255, 255});
  CHECK(read_error(webp_extended(0, 16384, 16384, "")).find("pixels, expected at most") != std::string::npos);
}
#endif

TEST_CASE("GIF: interlaced, transparent, smaller than its screen, and with a clear code deferred") {
  const auto colour = [](uint8_t i) { return Pixels{i, static_cast<uint8_t>(255 - i), static_cast<uint8_t>(i / 2)}; };
  const auto coloured = [&](const Image& indices) {
    Image image{indices.height, indices.width, 3, {}};
    for (const uint8_t index : indices.pixels)
      for (const uint8_t value : colour(index)) image.pixels.push_back(value);
    return image;
  };
  // More strings than there are codes.
  const Image indices = noise(90, 101, 1);
  CHECK(same(read(gif_file(indices.pixels, 101, 90)), coloured(indices)));
  // Runs: codes that complete themselves.
  const Image flat{40, 40, 1, Pixels(1600, 5)};
  CHECK(same(read(gif_file(flat.pixels, 40, 40)), coloured(flat)));
  const Image rows = test_image(11, 2, 1);
  Pixels stored;
  for (const int y : {0, 8, 4, 2, 6, 10, 1, 3, 5, 7, 9})
    stored.insert(stored.end(), &rows.pixels[2 * y], &rows.pixels[2 * y] + 2);
  CHECK(same(read(gif_file(stored, 2, 11, {.interlaced = true})), coloured(rows)));
  CHECK(read(gif_file({3, 4}, 2, 1, {.transparent = 3})).pixels == Pixels{255, 255, 255, 4, 251, 2});
  CHECK(read(gif_file({7}, 1, 1, {.left = 1, .screen_width = 2, .screen_height = 1})).pixels ==
        Pixels{255, 255, 255, 7, 248, 3});

  CHECK(read_error(gif_file({3, 4}, 3, 1)).starts_with("x: truncated GIF, its first picture lacks 1 of 3 pixels"));
  CHECK(read_error(gif_file({3, 4}, 2, 1, {.left = 1, .screen_width = 2})).starts_with("x: damaged GIF"));
  CHECK(read_error(gif_file({3}, 65535, 65535)).find("pixels, expected at most") != std::string::npos);
  // What follows the first picture is not looked at.
  const std::string gif = gif_file({3, 4}, 2, 1);
  CHECK(read_error(gif.substr(0, gif.size() - 1) + ",").empty());
}

TEST_CASE("BMP: every depth, header and direction") {
  const Image image = test_image(5, 7, 3);
  const auto bgrx = [](const uint8_t* p) { return bgr(p) + '\0'; };
  for (const int header : {12, 40, 52, 56, 108, 124}) {
    CAPTURE(header);
    CHECK(same(read(bmp_file(header, 7, 5, 24, 0, "", bmp_rows(image, bgr))), image));
  }
  CHECK(same(read(bmp_file(40, 7, 5, 24, 0, "", bmp_rows(image, bgr), 11)), image));
  CHECK(same(read(bmp_file(40, 7, -5, 24, 0, "", bmp_rows(image, bgr, true))), image));
  CHECK(same(read(bmp_file(40, 7, 5, 32, 0, "", bmp_rows(image, bgrx))), image));
  const std::string masks = number_of(0xFF, 4) + number_of(0xFF00, 4) + number_of(0xFF0000, 4);
  const auto rgbx = [](const uint8_t* p) { return std::string(p, p + 3) + '\0'; };
  for (const int header : {40, 52, 56, 108, 124}) {
    CAPTURE(header);
    CHECK(same(read(bmp_file(header, 7, 5, 32, 3, masks, bmp_rows(image, rgbx))), image));
  }
  const std::string alpha = masks + number_of(0xFF000000, 4);
  CHECK(read(bmp_file(56, 1, 1, 32, 3, alpha, "\x0A\x14\x1E\x80"s)).pixels == Pixels{132, 137, 142});
  CHECK(read(bmp_file(40, 1, 1, 16, 0, "", "\x1F\x7C\0\0"s)).pixels == Pixels{255, 0, 255});

  std::string palette, old_palette;
  for (int i = 0; i < 20; i++) {
    old_palette += number_of(i, 1) + number_of(2 * i, 1) + number_of(3 * i, 1);
    palette += number_of(i, 1) + number_of(2 * i, 1) + number_of(3 * i, 1) + '\0';
  }
  CHECK(read(bmp_file(40, 2, 1, 8, 0, palette, "\x13\x01\0\0"s)).pixels == Pixels{57, 38, 19, 3, 2, 1});
  CHECK(read(bmp_file(12, 2, 1, 8, 0, old_palette, "\x13\x01\0\0"s)).pixels == Pixels{57, 38, 19, 3, 2, 1});
  CHECK(read(bmp_file(40, 3, 1, 4, 0, palette, "\x12\x30\0\0"s)).pixels == Pixels{3, 2, 1, 6, 4, 2, 9, 6, 3});
  CHECK(read(bmp_file(40, 3, 1, 1, 0, palette, "\x40\0\0\0"s)).pixels == Pixels{0, 0, 0, 3, 2, 1, 0, 0, 0});
  // A colour that the palette lacks is black, every time.
  CHECK(read(bmp_file(40, 1, 1, 8, 0, palette, "\xFF\0\0\0"s)).pixels == Pixels{0, 0, 0});
  CHECK(read(bmp_file(12, 1, 1, 8, 0, old_palette, "\xFF\0\0\0"s)).pixels == Pixels{0, 0, 0});
  CHECK(read(png_file(1, 1, 8, 3, "\0\xFF"s, "\1\2\3")).pixels == Pixels{0, 0, 0});

  CHECK(read_error(bmp_file(40, 7, 5, 8, 1, palette, "")).find("compression 1, which is not read") !=
        std::string::npos);
  CHECK(read_error(bmp_file(40, 60000, 60000, 24, 0, "", "")).find("pixels, expected at most") != std::string::npos);
  CHECK(read_error("BM, a make of cars, is not a picture").find("not an image") != std::string::npos);
}

TEST_CASE("a file of any format that is cut at any byte is an error, what follows it is not") {
  for (const std::string& whole : small_files()) {
    CAPTURE(whole.substr(0, 12));
    CHECK(read_error(whole).empty());
    CHECK(same(read(whole + "trailing"), read(whole)));
    // Behind the first picture of a GIF file comes its trailer.
    const size_t needed = whole.size() - (whole.starts_with("GIF") ? 1 : 0);
    for (size_t size = 0; size < needed; size++) {
      CAPTURE(size);
      CHECK(read_error(whole.substr(0, size)) != "");
    }
  }
}

TEST_CASE("other files are named as what they are, in one line without control characters") {
  const std::string expected = ", which is not read; expected a JPEG, PNG, WebP, GIF or BMP file";
  const std::vector<std::pair<std::string, std::string>> kinds{
      {"\0\0\0\x18"
       "ftypheic\0\0\0\0"s,
       "a HEIC picture"},
      {"\0\0\0\x1c"
       "ftypavif\0\0\0\0"s,
       "an AVIF picture"},
      {"II*\0\x08\0\0\0"s, "a TIFF picture"},
      {"MM\0*\0\0\0\x08"s, "a TIFF picture"},
      {"<?xml version=\"1.0\"?>\n<!-- drawn -->\n<svg xmlns=", "an SVG drawing"},
      {"%PDF-1.7\n", "a PDF document"},
      {"<!DOCTYPE html><html>", "an HTML page"}};
  for (const auto& [bytes, kind] : kinds) CHECK(read_error(bytes) == "x: " + kind + expected);

  const DataFolder folder;
  CHECK(error_of([&] {
          read_image(folder.write("a\n\x1b[2J\xC2\x9B.png", "hello"), 3);
        }).ends_with("/a\\n\\x1b[2J\\u009b.png: not an image, expected a JPEG, PNG, WebP, GIF or BMP file"));
  CHECK(read_error(with_png_chunk(encode_png(test_image(1, 1, 3)), "A\x1b\nB", "")) ==
        "x: damaged image (A\\x1b\\nB PNG chunk not known)");
}

}  // namespace lookalike
