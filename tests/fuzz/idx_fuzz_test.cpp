// Damaged IDX files, plain and compressed, are read or refused with an Error of one line. Worth most under ASan.
#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "engine/core/random.h"
#include "engine/data/idx.h"
#include "tests/unit/class_files.h"

namespace lookalike {

TEST_CASE("damaged IDX files are read or refused") {
  const DataFolder folder;
  const std::string labels = folder.write("labels", idx_file({3}, std::string("\0\1\0", 3)));
  const std::string plain = idx_file({3, 2, 2}, "abcdefghijkl"), compressed = gzip(plain);
  Random random(7, RandomUse::test);
  int read = 0;
  for (int round = 0; round < 4000; round++) {
    std::string bytes = round % 2 ? plain : compressed;
    for (uint64_t edits = 1 + random.below(3); edits > 0; edits--) {
      const size_t at = random.below(bytes.size());
      switch (random.below(4)) {
        case 0:
          bytes.insert(at, 1, static_cast<char>(random.below(256)));
          break;
        case 1:
          bytes.erase(at, 1);
          break;
        default:
          bytes[at] = static_cast<char>(random.below(2) ? random.below(8) : random.below(256));
      }
    }
    // Damaged labels beside whole images in one round of four.
    const bool of_labels = round % 4 == 3;
    const std::string damaged =
        folder.write("damaged", of_labels ? bytes.substr(0, 3) + "\1" + bytes.substr(4) : bytes);
    const std::string images = of_labels ? folder.write("images", plain) : damaged;
    try {
      const RawImages raw = read_idx(images, of_labels ? damaged : labels);
      REQUIRE(std::ssize(raw.pixels) == std::ssize(raw.labels) * raw.image_size());
      read++;
    } catch (const Error& error) {
      REQUIRE(std::string(error.what()).find('\n') == std::string::npos);
    }
  }
  CHECK(read > 100);
  CHECK(read < 2000);
}

}  // namespace lookalike
