// Damaged safetensors files end in an Error or in tensors that agree with the header, never in a crash. Meant to run
// under AddressSanitizer too.
#include <doctest/doctest.h>

#include "engine/core/random.h"
#include "engine/io/safetensors.h"
#include "tests/fuzz/damage.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

std::string small_file(const TemporaryFolder& folder) {
  TensorFile file;
  file.tensors["conv.weight"] = Tensor::from<float>({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  file.tensors["conv.bias"] = Tensor::from<double>({2}, std::vector<double>{1, 2});
  file.tensors["step"] = Tensor::from<uint8_t>({3}, std::vector<uint8_t>{1, 2, 3});
  file.metadata = {{"recipe", "model = \"siamese_cnn\""}, {"epoch", "3"}};
  write_safetensors(folder / "whole", file);
  return read_bytes(folder / "whole");
}

// Whether the file was read; anything but an Error with one line escapes and fails the test.
bool reads(const std::filesystem::path& path) {
  try {
    read_safetensors_header(path);
    read_safetensors(path);
    return true;
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return false;
  }
}

TEST_CASE("a safetensors file cut at any byte is refused") {
  TemporaryFolder folder;
  const std::string whole = small_file(folder);
  CHECK(reads(folder / "whole"));
  for (size_t length = 0; length < whole.size(); length++) {
    write_bytes(folder / "cut", whole.substr(0, length));
    CAPTURE(length);
    CHECK(!reads(folder / "cut"));
  }
}

TEST_CASE("a safetensors file with flipped, inserted and removed bytes never crashes the reader") {
  TemporaryFolder folder;
  const std::string whole = small_file(folder);
  Random random(1, RandomUse::test);
  int read = 0;
  for (int round = 0; round < 4000; round++) {
    const std::string bytes = damaged(whole, "{}[]\",:0123456789-eF", random);
    write_bytes(folder / "damaged", bytes);
    read += reads(folder / "damaged");
  }
  // Damage to the elements alone or to a name goes unseen; most damage does not.
  CHECK(read > 0);
  CHECK(read < 2000);
}

}  // namespace
}  // namespace lookalike
