#include "engine/data/image.h"

#include <cmath>

#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "engine/data/preprocess.h"
#include "tests/unit/data_files.h"

namespace lookalike {
namespace {

using Pixels = std::vector<uint8_t>;
using std::string_literals::operator""s;

Pixels decode(const std::string& bytes, int64_t channels = 3) {
  return decode_image(bytes, channels, "x").pixels;
}

std::string decode_error(const std::string& bytes) {
  return error_of([&] { decode(bytes); });
}

bool is_line_with(const std::string& text, const std::string& part) {
  CAPTURE(text);
  const bool found = text.find(part) != std::string::npos && text.find('\n') == std::string::npos;
  CHECK(found);
  return found;
}

}  // namespace

TEST_CASE("a written PNG reads back the same") {
  for (const int64_t channels : {1, 3}) {
    const Image image = test_image(13, 17, channels);
    const Image back = decode_image(encode_png(image), channels, "x");
    CHECK(back.height == 13);
    CHECK(back.width == 17);
    CHECK(back.pixels == image.pixels);
  }
}

TEST_CASE("every kind of PNG becomes grey or colour, transparency on white") {
  SUBCASE("grey") {
    CHECK(decode(png_file(2, 1, 8, 0, "\0\x10\xF0"s)) == Pixels{16, 16, 16, 240, 240, 240});
    CHECK(decode(png_file(2, 1, 8, 0, "\0\x10\xF0"s), 1) == Pixels{16, 240});
  }
  SUBCASE("one bit") {
    CHECK(decode(png_file(3, 1, 1, 0, "\0\xA0"s), 1) == Pixels{255, 0, 255});
  }
  SUBCASE("colour to grey by luma") {
    CHECK(decode(png_file(1, 1, 8, 2, "\0\xFF\0\0"s), 1) == Pixels{77});
  }
  SUBCASE("16 bits keep the upper byte") {
    CHECK(decode(png_file(1, 1, 16, 2, "\0\x12\x34\x56\x78\x9A\xBC"s)) == Pixels{0x12, 0x56, 0x9A});
  }
  SUBCASE("palette") {
    CHECK(decode(png_file(2, 1, 8, 3, "\0\1\0"s, "\1\2\3\4\5\6")) == Pixels{4, 5, 6, 1, 2, 3});
  }
  SUBCASE("palette with transparency") {
    CHECK(decode(png_file(2, 1, 8, 3, "\0\1\0"s, "\1\2\3\4\5\6", "\0"s)) == Pixels{4, 5, 6, 255, 255, 255});
  }
  SUBCASE("grey with alpha") {
    CHECK(decode(png_file(2, 1, 8, 4, "\0\x00\x80\x64\xFF"s), 1) == Pixels{127, 100});
  }
  SUBCASE("colour with alpha") {
    CHECK(decode(png_file(2, 1, 8, 6, "\0\1\2\3\0\1\2\3\xFF"s)) == Pixels{255, 255, 255, 1, 2, 3});
  }
}

TEST_CASE("JPEG: grey, colour and Adobe CMYK") {
  const Image grey = decode_image(jpeg_file({200}), 1, "x");
  CHECK(grey.height == 8);
  CHECK(grey.pixels == Pixels(64, 200));
  const auto first = [](const std::string& bytes) {
    const Pixels pixels = decode(bytes);
    return Pixels(pixels.begin(), pixels.begin() + 3);
  };
  // Adobe's transform 0 says RGB, and for four channels inverted CMYK: red = cyan * black / 255.
  CHECK(first(jpeg_file({200, 30, 255}, 0)) == Pixels{200, 30, 255});
  CHECK(first(jpeg_file({200, 30, 255, 255}, 0)) == Pixels{200, 30, 255});
  is_line_with(decode_error(jpeg_file({200, 30, 255, 255})), "x: JPEG of four channels without the Adobe marker");
}

TEST_CASE("files that are no whole image are named with what was expected") {
  const DataFolder folder;
  is_line_with(error_of([&] { read_image(folder.write("empty.png", ""), 3); }),
               "empty.png: the file is empty, expected a JPEG, PNG, WebP, GIF or BMP file");
  is_line_with(error_of([&] { read_image(folder.write("text.png", "hello"), 3); }),
               "text.png: not an image, expected a JPEG, PNG, WebP, GIF or BMP file");
  is_line_with(error_of([&] { read_image(folder.path("none.png"), 3); }), "none.png");
  is_line_with(error_of([&] { read_image(folder.path(), 3); }), "not a regular file");
}

TEST_CASE("a file cut at any byte, or with any byte of a PNG changed, is an error") {
  const std::string png = encode_png(test_image(9, 9, 3)), jpeg = jpeg_file({20, 200, 60});
  for (const std::string& whole : {png, jpeg}) {
    CHECK(decode_error(whole).empty());
    for (size_t size = 0; size < whole.size(); size++) {
      CAPTURE(size);
      CHECK(decode_error(whole.substr(0, size)) != "");
    }
  }
  for (size_t at = 0; at < png.size(); at++) {
    CAPTURE(at);
    std::string bytes = png;
    bytes[at] ^= 4;
    CHECK(decode_error(bytes) != "");
  }
  is_line_with(decode_error(png.substr(0, png.size() / 2)), "x: truncated PNG");
  is_line_with(decode_error(jpeg.substr(0, jpeg.size() - 2)), "x: truncated JPEG");
  CHECK(decode_error(png + "trailing").empty());
  CHECK(decode_error(jpeg + "trailing").empty());
}

TEST_CASE("a JPEG code table of more symbols than there are is refused") {
  std::string jpeg = jpeg_file({200});
  jpeg[jpeg.find("\xFF\xC4") + 6] = '\xFF';
  is_line_with(decode_error(jpeg), "x: damaged JPEG (Bogus Huffman table definition)");
}

TEST_CASE("a picture that claims too many pixels is refused before it is decoded") {
  is_line_with(decode_error(png_file(60000, 60000, 8, 0, "")), "60000 x 60000 pixels, expected at most");
  is_line_with(decode_error(png_file(-1, -1, 8, 0, "")), "4294967295 x 4294967295 pixels, expected at most");
}

TEST_CASE("resize averages when it shrinks and keeps flat colours flat") {
  const Image image = test_image(10, 14, 3);
  CHECK(resize(image, 10, 14).pixels == image.pixels);
  for (const auto& [height, width] : {std::pair{1, 1}, {3, 5}, {64, 64}, {10, 1}, {201, 2}}) {
    const Image flat{7, 3, 1, Pixels(21, 200)};
    CHECK(resize(flat, height, width).pixels == Pixels(height * width, 200));
  }
  for (int64_t size = 1; size <= 130; size++)
    CHECK(resize({size, size, 1, Pixels(size * size, 200)}, 56, 56).pixels == Pixels(56 * 56, 200));
  CHECK(resize({1, 1, 3, {9, 8, 7}}, 2, 2).pixels == Pixels{9, 8, 7, 9, 8, 7, 9, 8, 7, 9, 8, 7});
  // A board of single black and white pixels has no detail left at a quarter of the size.
  Image board{64, 64, 1, {}};
  for (int i = 0; i < 64 * 64; i++) board.pixels.push_back((i / 64 + i) % 2 ? 255 : 0);
  for (const uint8_t pixel : resize(board, 16, 16).pixels) CHECK(std::abs(pixel - 127.5) < 8);
}

TEST_CASE("a crop to the ink is a square around it with a margin, white outside of the image") {
  const auto ink = [](int64_t y, int64_t x) { return y >= 2 && y < 7 && x >= 1 && x < 3; };
  for (const int64_t channels : {1, 3}) {
    Image image{8, 20, channels, Pixels(8 * 20 * channels, 150)};
    for (int64_t y = 0; y < 8; y++)
      for (int64_t x = 0; x < 20; x++)
        if (ink(y, x)) image.pixels[(y * 20 + x) * channels] = 0;
    // 5 x 2 pixels, from row 2 and column 1, make a square of 6 from row 2 and column -1.
    const Image crop = crop_to_ink(image);
    CHECK(crop.height == 6);
    CHECK(crop.width == 6);
    REQUIRE(crop.pixels.size() == 36 * channels);
    for (int64_t y = 0; y < 6; y++)
      for (int64_t x = 0; x < 6; x++)
        CHECK(crop.pixels[(y * 6 + x) * channels] == (x == 0 ? 255 : ink(y + 2, x - 1) ? 0 : 150));
  }
  const Image blank{3, 4, 1, Pixels(12, 200)};
  CHECK(crop_to_ink(blank).pixels == blank.pixels);
}

TEST_CASE("preprocessing normalises, orders colours and survives JSON") {
  const DataFolder folder;
  Preprocess p{.height = 2, .width = 2, .mean = {0.5f, 0.25f, 0}, .std = {0.5f, 1, 2}};
  const std::string file = folder.write("x.png", encode_png({1, 1, 3, {255, 0, 51}}));
  const Image rgb = prepare_image(file, p);
  std::vector<float> out(12);
  normalize(p, rgb.pixels.data(), out.data());
  CHECK(out[3] == doctest::Approx(1));
  CHECK(out[4] == doctest::Approx(-0.25));
  CHECK(out[5] == doctest::Approx(0.1));
  p.color_order = "bgr";
  CHECK(prepare_image(file, p).pixels[0] == 51);
  Image dot{5, 5, 1, Pixels(25, 255)};
  dot.pixels[7] = 0;
  p.crop = "ink";
  CHECK(prepare_image(dot, p).pixels == Pixels(12, 0));

  CHECK(to_json(preprocess_from_json(to_json(p), "m")) == to_json(p));
  auto json = to_json(p);
  json.erase("mean");
  is_line_with(error_of([&] { preprocess_from_json(json, "m"); }), "m: the key 'mean' is missing");
  json["mean"] = {0.5};
  is_line_with(error_of([&] { preprocess_from_json(json, "m"); }), "mean has 1 numbers and std 3, expected 3");
  json["mean"] = {0, 0, 0};
  json["color_order"] = "rbg";
  is_line_with(error_of([&] { preprocess_from_json(json, "m"); }), "m: color_order");
}

}  // namespace lookalike
