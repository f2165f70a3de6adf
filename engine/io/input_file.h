// A file opened for reading: its size is known, and every read is checked against it. Pipes, devices
// and folders are refused at once, standard input (/dev/stdin) too unless it is a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace lookalike {

class InputFile {
 public:
  // Error when `path` can't be opened or is not a regular file.
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  int64_t size() const { return size_; }
  // Exactly `bytes` bytes from `offset` on; Error when the file ends before.
  void read(int64_t offset, void* to, int64_t bytes) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  int64_t size_ = 0;
};

// Whether there is something at `path` that this process can reach. Error where the disk fails, which
// must not pass for a file that is not there.
bool is_there(const std::filesystem::path& path);

// All of a file.
std::string read_file(const std::filesystem::path& path);

}  // namespace lookalike
