// Damaged and invented image and CSV files: each is read or refused with an Error, nothing else. Worth most under ASan.
#include <array>

#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "engine/core/random.h"
#include "engine/data/csv.h"
#include "engine/data/image.h"
#include "tests/unit/data_files.h"

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
