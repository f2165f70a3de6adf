#include "engine/io/atomic_file.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/error.h"

namespace lookalike {
namespace {

// A lock on the temporary file keeps two writers of the same result apart, and dies with its process. Returns -1 with
// errno set.
int open_locked(const std::filesystem::path& path) {
  for (;;) {
    const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) return -1;
    struct stat opened, named;
    const bool locked = flock(descriptor, LOCK_EX | LOCK_NB) == 0 && fstat(descriptor, &opened) == 0;
    if (locked && stat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino && ftruncate(descriptor, 0) == 0)
      return descriptor;
    const int error = errno;
    close(descriptor);
    // Locked but no longer under this name: another writer renamed it between our open and our lock.
    if (locked && (error == ENOENT || opened.st_ino != named.st_ino)) continue;
    errno = error;
    return -1;
  }
}

}  // namespace

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path) {
  std::error_code ignored;
  // A link stays a link: what it points to is replaced. A device or a folder would be destroyed by the rename.
  if (std::filesystem::exists(path, ignored)) path_ = std::filesystem::canonical(path);
  check(!std::filesystem::exists(path_, ignored) || std::filesystem::is_regular_file(path_, ignored),
        "cannot write '{}': it is not a regular file", path.string());
  temporary_ = path_.string() + ".tmp";
  descriptor_ = open_locked(temporary_);
  if (descriptor_ < 0) {
    check(errno != EWOULDBLOCK, "cannot write '{}': another process is writing it", path_.string());
    fail_with_errno();
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  unlink(temporary_.c_str());
  close(descriptor_);
}

void AtomicFile::fail_with_errno() {
  fail("cannot write '{}': {}", path_.string(), std::strerror(errno));
}

void AtomicFile::write(const void* data, size_t bytes) {
  for (auto* from = static_cast<const char*>(data); bytes > 0;) {
    const ssize_t written = ::write(descriptor_, from, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_with_errno();
    from += written, bytes -= written;
  }
}

void AtomicFile::flush() {
  if (fsync(descriptor_) != 0) fail_with_errno();
}

void AtomicFile::commit() {
  flush();
  if (rename(temporary_.c_str(), path_.c_str()) != 0) fail_with_errno();
  close(descriptor_);
  descriptor_ = -1;
  // The rename itself is durable once the folder is. A file system that can't flush folders loses nothing but time.
  const auto folder = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
  const int folder_descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_descriptor < 0) return;
  fsync(folder_descriptor);
  close(folder_descriptor);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void write_files_together(const std::map<std::filesystem::path, std::optional<std::string>>& files) {
  std::vector<std::unique_ptr<AtomicFile>> written;
  for (const auto& [path, text] : files) {
    if (!text) continue;
    written.push_back(std::make_unique<AtomicFile>(path));
    written.back()->write(*text);
    written.back()->flush();
  }
  const auto remove_all = [&] {
    for (const auto& [path, text] : files) {
      std::error_code error;
      std::filesystem::remove(path, error);
      check(!error, "cannot remove '{}': {}", path.string(), error.message());
    }
  };
  remove_all();
  try {
    for (const auto& file : written) file->commit();
  } catch (...) {
    remove_all();
    throw;
  }
}

void check_can_write(const std::filesystem::path& path) {
  if (!path.empty()) AtomicFile{path};
}

void check_can_write_folder(const std::filesystem::path& path) {
  std::filesystem::path there = std::filesystem::absolute(path).lexically_normal();
  std::error_code ignored;
  while (!std::filesystem::exists(there, ignored) && there.has_relative_path()) there = there.parent_path();
  check(std::filesystem::is_directory(there, ignored), "cannot write to '{}': '{}' is not a folder", path.string(),
        there.string());
  // Permissions do not say all: some file systems take no new folder.
  std::string probe = (there / ".lookalike-XXXXXX").string();
  check(mkdtemp(probe.data()) != nullptr, "cannot write to '{}': {}", path.string(), std::strerror(errno));
  rmdir(probe.c_str());
}

void make_folders(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  check(!error, "cannot make the folder '{}': {}", path.string(), error.message());
}

}  // namespace lookalike
