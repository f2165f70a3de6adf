#include "engine/io/input_file.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/error.h"
#include "engine/core/resources.h"

namespace lookalike {

InputFile::InputFile(const std::filesystem::path& path) : path_(path) {
  // Without O_NONBLOCK the open of a named pipe would wait for a writer.
  descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) throw_if_exhausted(errno, fmt::format("cannot read '{}'", path.string()));
  check(descriptor_ >= 0, "cannot read '{}': {}", path.string(), std::strerror(errno));
  struct stat info;
  if (fstat(descriptor_, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(descriptor_);
    fail("cannot read '{}': it is not a regular file", path.string());
  }
  size_ = info.st_size;
}

InputFile::~InputFile() {
  close(descriptor_);
}

void InputFile::read(int64_t offset, void* to, int64_t bytes) const {
  for (auto* out = static_cast<char*>(to); bytes > 0;) {
    const ssize_t got = pread(descriptor_, out, bytes, offset);
    if (got < 0 && errno == EINTR) continue;
    check(got >= 0, "cannot read '{}': {}", path_.string(), std::strerror(errno));
    check(got > 0, "'{}' ends at byte {}, expected {} more bytes", path_.string(), offset, bytes);
    out += got, offset += got, bytes -= got;
  }
}

bool is_there(const std::filesystem::path& path) {
  std::error_code error;
  const bool there = std::filesystem::exists(path, error);
  check(error.value() != EIO, "cannot read '{}': {}", path.string(), error.message());
  return there;
}

std::string read_file(const std::filesystem::path& path) {
  const InputFile file(path);
  std::string bytes(file.size(), '\0');
  file.read(0, bytes.data(), file.size());
  return bytes;
}

}  // namespace lookalike
