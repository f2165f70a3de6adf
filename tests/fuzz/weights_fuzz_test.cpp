// Damaged files of PyTorch and ONNX end in an Error or in tensors, never in a crash or in more memory than a small multiple of the file. Meant to run
// under AddressSanitizer too.
#include <functional>

#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "engine/core/random.h"
#include "engine/io/onnx_file.h"
#include "engine/io/torch_file.h"
#include "engine/io/weight_file.h"
#include "tests/fuzz/damage.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

using Reader = std::function<TensorFile(const std::filesystem::path&)>;

// How many of `rounds` damaged copies of a file are read; anything but an Error with one line escapes and fails the test.
int count_read(const std::string& whole, const Reader& reader, const std::string& language, int rounds) {
  TemporaryFolder folder;
  Random random(1, RandomUse::test);
  int read = 0;
  for (int round = 0; round < rounds; round++) {
    const std::string bytes = damaged(whole, language, random);
    write_bytes(folder / "damaged", bytes);
    try {
      const TensorFile file = reader(folder / "damaged");
      int64_t total = 0;
      for (const auto& [name, tensor] : file.tensors) total += tensor.bytes();
      CHECK(total <= kMaxInflation * static_cast<int64_t>(bytes.size()));
      read++;
    } catch (const Error& error) {
      CHECK(std::string(error.what()).find('\n') == std::string::npos);
    }
  }
  return read;
}

std::string golden_bytes(const std::string& name) {
  return read_bytes(LOOKALIKE_SOURCE_DIR "/tests/golden/weights/" + name);
}

// Opcodes of pickles, and small numbers.
const std::string kPickle("\x80\x02()}]cqhKMJXNRQtuseb.\x85\x86\x87\x88\x89\x8a\x93\x94\0\1\2\3\7\xff", 34);

TEST_CASE("damaged files of PyTorch never crash the reader") {
  // Stored entries carry a CRC, so damage to the older form gets further.
  CHECK(count_read(golden_bytes("zip.pth"), read_torch, kPickle + "PK", 3000) < 1500);
  const int legacy = count_read(golden_bytes("legacy.pth"), read_torch, kPickle, 6000);
  CHECK(legacy > 0);
  CHECK(legacy < 3000);
}

TEST_CASE("damaged pickles and storages behind a correct checksum never crash the reader") {
  // The older form without storages is little but pickles.
  const int read = count_read(golden_bytes("checkpoint_legacy.pth"), read_torch, kPickle, 6000);
  CHECK(read > 0);
  CHECK(read < 3000);
}

TEST_CASE("damaged files of ONNX never crash the reader") {
  // Tags of fields, and small numbers.
  const std::string language("\x08\x10\x22\x2a\x3a\x42\x4a\x52\x6a\x70\0\1\2\3\7\x7f\x80\xff", 18);
  const int read = count_read(golden_bytes("tensors.onnx"), read_onnx, language, 6000);
  CHECK(read > 0);
  CHECK(read < 4000);
}

}  // namespace
}  // namespace lookalike
