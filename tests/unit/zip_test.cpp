#include "engine/io/zip.h"

#include <doctest/doctest.h>

#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

std::string little(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; i++) text += static_cast<char>(value >> 8 * i & 255);
  return text;
}

// An archive of one entry, "a", which can lie. The default holds "hello", stored.
struct OneEntry {
  uint16_t flags = 0, method = 0;
  uint32_t crc = 0x3610a686;
  std::string data = "hello";
  uint32_t packed = 5, size = 5, header = 0;
  uint16_t count = 1, disk = 0;
  int64_t directory_shift = 0;
  bool twice = false;

  std::string bytes() const {
    const std::string common =
        little(flags, 2) + little(method, 2) + little(0, 4) + little(crc, 4) + little(packed, 4) + little(size, 4);
    const std::string local = "PK\3\4" + little(20, 2) + common + little(1, 2) + little(0, 2) + "a" + data;
    std::string directory = "PK\1\2" + little(20, 2) + little(20, 2) + common + little(1, 2) + little(0, 4) +
                            little(0, 8) + little(header, 4) + "a";
    if (twice) directory += directory;
    return local + directory + "PK\5\6" + little(disk, 2) + little(disk, 2) + little(count, 2) + little(count, 2) +
           little(directory.size(), 4) + little(local.size() + directory_shift, 4) + little(0, 2);
  }
};

std::string error_for(const OneEntry& archive) {
  TemporaryFolder folder;
  write_bytes(folder / "a.zip", archive.bytes());
  return error_of([&] { ZipFile(folder / "a.zip").read("a", 100); });
}

TEST_CASE("a zip entry is read, stored or deflated, with a comment behind the archive") {
  TemporaryFolder folder;
  std::string bytes = OneEntry{}.bytes();
  write_bytes(folder / "a.zip", bytes);
  CHECK(ZipFile(folder / "a.zip").read("a", 5) == "hello");
  bytes.replace(bytes.size() - 2, 2, "\3\0xyz", 5);
  write_bytes(folder / "a.zip", bytes);
  CHECK(ZipFile(folder / "a.zip").read("a", 5) == "hello");
  const std::string deflated("\xcb\x48\xcd\xc9\xc9\x07\x00", 7);
  write_bytes(folder / "a.zip", OneEntry{.method = 8, .data = deflated, .packed = 7}.bytes());
  CHECK(ZipFile(folder / "a.zip").read("a", 5) == "hello");
}

TEST_CASE("what is wrong with a zip archive is said in one line") {
  const auto says = [](const OneEntry& archive, const char* part) {
    const std::string message = error_for(archive);
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
  };
  const std::string deflated("\xcb\x48\xcd\xc9\xc9\x07\x00", 7);
  says({.flags = 1}, "'a' is encrypted");
  says({.method = 12}, "'a' is packed by method 12");
  says({.crc = 1}, "'a' is damaged (CRC)");
  says({.packed = 6, .size = 6}, "'a' passes the end of the archive's data");
  says({.size = 4}, "'a' claims 4 bytes unpacked");
  says({.method = 8, .data = deflated, .packed = 7, .size = 4}, "'a' is damaged (deflate)");
  says({.method = 8, .data = deflated, .packed = 7, .size = 6}, "'a' is damaged (deflate)");
  says({.method = 8, .data = deflated + "x", .packed = 8}, "'a' is damaged (deflate)");
  says({.method = 8, .data = deflated, .packed = 7, .size = 1u << 20}, "which 7 bytes cannot hold");
  says({.method = 8, .data = deflated, .packed = 7, .size = 101}, "claims 101 bytes, at most 100 expected");
  says({.packed = 0xffffffff, .size = 0xffffffff}, "zip64");
  says({.header = 1000}, "'a' passes the end of the archive's data");
  says({.count = 2}, "entry 2 of 2 in the zip directory is damaged");
  says({.count = 0xffff}, "zip64");
  says({.disk = 1}, "split");
  says({.directory_shift = 100}, "does not fit in front of its end");
  says({.count = 2, .twice = true}, "has 'a' twice");
}

}  // namespace
}  // namespace lookalike
