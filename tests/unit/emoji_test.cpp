#include "engine/data/emoji.h"

#include <cstdlib>

#include <sys/stat.h>

#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "engine/data/pairs.h"
#include "tests/unit/data_files.h"

namespace lookalike {
namespace {

const std::string kFont = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf";

auto entries(const DataFolder& folder) {
  return std::distance(std::filesystem::directory_iterator(folder.path()), std::filesystem::directory_iterator());
}

}  // namespace

TEST_CASE("emoji pairs: one glyph each, no flags, no skin tones, and the same files every time") {
  if (!std::filesystem::exists(kFont)) {
    MESSAGE("skipped: emoji pairs: fonts-noto-color-emoji is not installed");
    return;
  }
  const DataFolder folder;
  const std::string picture = encode_png(test_image(64, 64, 3));
  // A face and a keycap; a flag, a skin tone, a pair that is no ligature, a letter without glyph, no code point at all.
  for (const char* name :
       {"1F600", "0023-20E3", "1F1E6-1F1E7", "1F3FB", "1F600-1F601", "0416", "notes", "1F600-", "FFFFFFFF"})
    folder.write(fmt::format("png/{}.png", name), picture);
  EmojiOptions options{.out = folder.path("a/"), .size = 32, .gemojione = folder.path()};
  CHECK(make_emoji_pairs(options) == 2);
  const auto pairs = read_pairs(folder.path("a/pairs.csv"));
  REQUIRE(pairs.size() == 2);
  CHECK(pairs[0].left == "0023-20e3");
  CHECK(pairs[1].right == "1f600");
  CHECK(entries(folder) == 2);
  const Image face = read_image(folder.path("a/left/1f600.png"), 3);
  CHECK(face.width == 32);
  CHECK(face.pixels[0] == 255);  // a white corner
  const uint8_t* middle = &face.pixels[(12 * 32 + 16) * 3];
  CHECK(middle[0] > 200);  // a yellow forehead
  CHECK(middle[1] > 150);
  CHECK(middle[2] < 120);

  CHECK(error_of([&] { make_emoji_pairs(options); }).ends_with("a/: already exists, expected a new folder"));
  options.out = folder.path("b");
  make_emoji_pairs(options);
  for (const char* name : {"left/1f600.png", "left/0023-20e3.png", "right/1f600.png", "pairs.csv"})
    CHECK(read_bytes(folder.path("a") + "/" + name) == read_bytes(folder.path("b") + "/" + name));
}

TEST_CASE("emoji pairs: beyond 64 pixels the right picture is drawn, not scaled up") {
  if (!std::filesystem::exists(kFont) || std::system("command -v rsvg-convert >/dev/null") != 0) {
    MESSAGE("skipped: emoji pairs beyond 64 pixels: fonts-noto-color-emoji or librsvg2-bin is not installed");
    return;
  }
  const DataFolder folder;
  folder.write("png/1F600.png", encode_png(test_image(64, 64, 3)));
  folder.write(
      "svg/1F600.svg",
      R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><path fill="#00f" d="M0 0h32v64H0z"/></svg>)");
  EmojiOptions options{.out = folder.path("a"), .size = 224, .gemojione = folder.path()};
  CHECK(make_emoji_pairs(options) == 1);
  CHECK(std::filesystem::exists(folder.path("a/left/1f600.png")));
  const Image right = read_image(folder.path("a/right/1f600.png"), 3);
  REQUIRE(right.width == 224);
  // Blue up to the middle, white from there on: an edge without a blur.
  CHECK(right.pixels[3 * 111] == 0);
  CHECK(right.pixels[3 * 111 + 2] == 255);
  CHECK(right.pixels[3 * 112] == 255);

  // Neighbours are not read, and not waited for.
  REQUIRE(mkfifo(folder.path("svg/pipe.png").c_str(), 0600) == 0);
  folder.write("svg/1F600.svg",
               R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">)"
               R"(<image href="pipe.png" width="64" height="64"/></svg>)");
  options.out = folder.path("c");
  CHECK(make_emoji_pairs(options) == 1);

  folder.write("svg/1F600.svg", "<svg");
  options.out = folder.path("b");
  CHECK(error_of([&] { make_emoji_pairs(options); }).ends_with("1F600.svg: rsvg-convert cannot draw it"));
  CHECK(!std::filesystem::exists(folder.path("b")));
}

TEST_CASE("emoji pairs: what is missing is named, and nothing is left behind") {
  const DataFolder folder;
  EmojiOptions options{.out = folder.path("a"), .font = folder.path("none.ttf"), .gemojione = folder.path()};
  CHECK(error_of([&] { make_emoji_pairs(options); }) ==
        folder.path("none.ttf") + ": no such font: apt-get install fonts-noto-color-emoji");
  options.font = folder.write("text.ttf", "hello");
  CHECK(error_of([&] { make_emoji_pairs(options); }) == options.font + ": cannot be read as a font");
  options.size = 0;
  CHECK(error_of([&] { make_emoji_pairs(options); }) == "size 0, expected from 1 to 1024 pixels");
  if (std::filesystem::exists(kFont)) {
    options = {.out = folder.path("a"), .gemojione = folder.path()};
    folder.write("png/1F600.png", "hello");
    CHECK(error_of([&] { make_emoji_pairs(options); }).find("1F600.png: not an image") != std::string::npos);
    options.size = 65;
    CHECK(error_of([&] { make_emoji_pairs(options); }).find("svg/1F600.svg") != std::string::npos);
    folder.write("svg/1F600.svg", "hello");
    const std::string path = std::getenv("PATH");
    setenv("PATH", folder.path().c_str(), 1);
    CHECK(error_of([&] { make_emoji_pairs(options); }) ==
          "rsvg-convert is not installed, which draws emoji larger than 64 pixels: apt-get install librsvg2-bin");
    setenv("PATH", path.c_str(), 1);
  }
  CHECK(!std::filesystem::exists(folder.path("a")));
  CHECK(entries(folder) <= 3);
}

}  // namespace lookalike
