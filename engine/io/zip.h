// A zip archive opened for reading (PKWARE's APPNOTE.TXT, version 6.3): entries stored or deflated. Nothing that its directory claims is
// believed before it is checked: offsets and sizes against the file, overlaps, the CRC of what was read.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "engine/io/input_file.h"

namespace lookalike {

class ZipFile {
 public:
  struct Entry {
    bool deflated = false;
    uint32_t crc = 0;
    int64_t packed = 0, size = 0;  // bytes in the archive, bytes unpacked
    int64_t header = 0;            // where its local header starts
  };

  // Error for what is no zip archive, for encrypted, split and zip64 ones (above 4 GiB), other methods, a name that occurs twice, an entry
  // that claims more than deflate can unpack.
  explicit ZipFile(const std::filesystem::path& path);

  const InputFile& file() const { return file_; }
  const std::map<std::string, Entry>& entries() const { return entries_; }
  // The whole entry; Error where there is none, where it claims more than `limit` bytes, or when it is damaged.
  std::string read(const std::string& name, int64_t limit) const;

 private:
  InputFile file_;
  std::map<std::string, Entry> entries_;
};

}  // namespace lookalike
