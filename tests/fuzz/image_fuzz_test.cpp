// Damaged and invented image and CSV files: each is read or refused with an Error, nothing else. Worth most under ASan.
#include <array>

#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "engine/core/random.h"
#include "engine/data/csv.h"
#include "engine/data/image.h"
#include "tests/unit/picture_files.h"

namespace lookalike {
namespace {

// Whether the file was read; anything but an Error ends the test.
bool decodes(const std::string& bytes) {
  try {
    const Image image = decode_image(bytes, 3, "x");
    REQUIRE(std::ssize(image.pixels) == image.height * image.width * 3);
    return true;
  } catch (const Error& error) {
    REQUIRE(std::string(error.what()).starts_with("x: "));
    return false;
  }
}

// Up to three bytes set to something else, sometimes a length or a marker of note.
std::string damaged(std::string bytes, Random& random) {
  for (uint64_t i = 0; i <= random.below(3); i++) {
    constexpr std::array<uint8_t, 6> kNotable{0x00, 0xFF, 0x7F, 0x80, 0xC2, 0xDA};
    bytes[random.below(bytes.size())] =
        static_cast<char>(random.below(2) ? kNotable[random.below(kNotable.size())] : random.below(256));
  }
  return bytes;
}

}  // namespace

TEST_CASE("damaged JPEG files are read or refused") {
  Random random(0, RandomUse::test);
  const std::vector<std::string> whole{jpeg_file({200}), jpeg_file({20, 30, 200}), jpeg_file({20, 30, 200, 255}, 2)};
  int read = 0;
  for (int i = 0; i < 6000; i++) read += decodes(damaged(whole[i % 3], random));
  CHECK(read > 100);
  CHECK(read < 5900);
}

TEST_CASE("damaged files of every format are read or refused") {
  Random random(3, RandomUse::test);
  const Image image = test_image(12, 9, 3);
  const std::string exif = exif_block(6, true);
  std::vector<std::string> whole{
      libjpeg_file(image, {.progressive = true}),
      with_segment(libjpeg_file(image, {.subsampled = true, .restart = 1}), 0xE1, std::string("Exif\0\0", 6) + exif),
      gif_file(test_image(12, 9, 1).pixels, 9, 12, {.transparent = 3}),
      gif_file(std::vector<uint8_t>(100, 9), 10, 10, {.interlaced = true}),
      bmp_file(40, 9, 12, 24, 0, "", std::string(28 * 12, 'x')),
      bmp_file(40, 9, 12, 8, 0, std::string(80, 'p'), std::string(12 * 12, '\1')),
      bmp_file(56, 9, 12, 32, 3, number_of(0xFF00, 8) + number_of(0xF00000F0, 8), std::string(36 * 12, 'x')),
      bmp_file(12, 9, 12, 4, 0, std::string(48, 'p'), std::string(8 * 12, '\1'))};
#ifdef LOOKALIKE_HAS_WEBP
  const std::string lossless = webp_file(with_alpha(image, 100), 9, 12);
  whole.push_back(lossless);
  whole.push_back(webp_file(with_alpha(image, 100), 9, 12, 80));
  whole.push_back(webp_extended(0x08, 9, 12, lossless.substr(12) + riff_chunk("EXIF", exif)));
#endif
  std::vector<int> read(whole.size());
  constexpr int kTries = 800;
  for (int i = 0; i < kTries; i++)
    for (size_t file = 0; file < whole.size(); file++) read[file] += decodes(damaged(whole[file], random));
  for (const int count : read) {
    CHECK(count > 0);
    CHECK(count < kTries);
  }
}

TEST_CASE("PNG files with right checksums and wrong content are read or refused") {
  Random random(1, RandomUse::test);
  int read = 0;
  for (int i = 0; i < 6000; i++) {
    const auto bytes = [&](uint64_t count) {
      std::string text(count, '\0');
      for (char& c : text) c = static_cast<char>(random.below(random.below(2) ? 6 : 256));
      return text;
    };
    constexpr std::array<int, 6> kDepths{1, 2, 4, 8, 16, 3};
    constexpr std::array<int, 6> kTypes{0, 2, 3, 4, 6, 5};
    const int width = 1 + static_cast<int>(random.below(9)), height = 1 + static_cast<int>(random.below(9));
    const std::string rows = bytes(random.below(300));
    read += decodes(png_file(width, height, kDepths[random.below(6)], kTypes[random.below(6)], rows,
                             bytes(random.below(2) * random.below(40)), bytes(random.below(2) * random.below(8))));
  }
  CHECK(read > 50);
  CHECK(read < 5900);
}

TEST_CASE("arbitrary CSV text is read or refused") {
  const DataFolder folder;
  Random random(2, RandomUse::test);
  constexpr std::string_view kAlphabet = "a,\"\r\n\xEF\xBB\xBF\0";
  for (int i = 0; i < 500; i++) {
    std::string text(random.below(12), '\0');
    for (char& c : text) c = kAlphabet[random.below(kAlphabet.size())];
    try {
      for (const CsvRow& row : read_csv(folder.write("x.csv", text))) {
        REQUIRE(!row.cells.empty());
        REQUIRE(row.line >= 1);
      }
    } catch (const Error&) {
    }
  }
}

}  // namespace lookalike
