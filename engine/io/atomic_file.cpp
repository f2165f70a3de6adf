#include "engine/io/atomic_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/error.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_to_write(const fs::path& path) {
  fail("cannot write '{}': {}", path.string(), std::strerror(errno));
}

void write_all(int descriptor, const void* data, size_t bytes, const fs::path& path) {
  for (auto* from = static_cast<const char*>(data); bytes > 0;) {
    const ssize_t written = write(descriptor, from, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_to_write(path);
    from += written, bytes -= written;
  }
}

// A change of names is durable once the folder is. A file system that can't flush folders loses
// nothing but time.
void flush_folder_of(const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  fsync(descriptor);
  close(descriptor);
}

// Links count as what they are.
bool has_entry(const fs::path& path) {
  struct stat ignored;
  return lstat(path.c_str(), &ignored) == 0;
}

// What a killed process put aside of `path` comes back, unless there is something newer.
void settle(const fs::path& path) {
  const fs::path old = hidden_beside(path, "old");
  if (!has_entry(old)) return;
  const int failed = has_entry(path) ? unlink(old.c_str()) : rename(old.c_str(), path.c_str());
  if (failed) fail_to_write(old);
}

}  // namespace

fs::path without_links(const fs::path& path) {
  constexpr int kMostLinks = 40;
  fs::path at = path;
  std::error_code error;
  for (int links = 0; fs::is_symlink(fs::symlink_status(at, error)); links++) {
    const fs::path folder = fs::canonical(at.has_parent_path() ? at.parent_path() : ".", error);
    check(!folder.string().starts_with("/proc/"), "cannot write '{}': it is not a regular file",
          path.string());
    const fs::path next = fs::read_symlink(at, error);
    check(!error && links < kMostLinks, "cannot write '{}': {}", path.string(),
          error ? error.message() : std::strerror(ELOOP));
    at = at.parent_path() / next;
  }
  return at;
}

AtomicFile::AtomicFile(const fs::path& path) : path_(without_links(path)) {
  struct stat there;
  if (stat(path_.c_str(), &there) == 0) {
    check(S_ISREG(there.st_mode), "cannot write '{}': it is not a regular file", path.string());
    if (faccessat(AT_FDCWD, path_.c_str(), W_OK, AT_EACCESS) != 0) fail_to_write(path);
    mode_ = there.st_mode & 0777;
  }
  // Until it has the permissions of what it replaces, nobody else may read it.
  claim_.emplace(path_, path.string(), mode_ ? 0600 : 0666);
}

void AtomicFile::write(const void* data, size_t bytes) {
  write_all(claim_->descriptor(), data, bytes, path_);
}

void AtomicFile::copy(const InputFile& from, int64_t offset, int64_t bytes) {
  constexpr int64_t kPiece = 1 << 20;
  std::vector<char> piece(std::min(bytes, kPiece));
  for (const int64_t end = offset + bytes; offset < end;) {
    const int64_t size = std::min(end - offset, kPiece);
    from.read(offset, piece.data(), size);
    write(piece.data(), size);
    offset += size;
  }
}

void AtomicFile::flush() {
  if (fsync(claim_->descriptor()) != 0) fail_to_write(path_);
}

void AtomicFile::commit() {
  if (mode_ && fchmod(claim_->descriptor(), *mode_) != 0) fail_to_write(path_);
  flush();
  if (rename(claim_->path().c_str(), path_.c_str()) != 0) fail_to_write(path_);
  claim_->release();
  flush_folder_of(path_);
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void write_files_together(const std::map<fs::path, std::optional<std::string>>& files) {
  std::vector<std::unique_ptr<AtomicFile>> written;
  std::vector<fs::path> replaced;
  for (const auto& [path, text] : files) {
    if (text) {
      written.push_back(std::make_unique<AtomicFile>(path));
      written.back()->write(*text);
      written.back()->flush();
    }
    replaced.push_back(text ? written.back()->path() : path);
    std::error_code ignored;
    check(!fs::is_directory(replaced.back(), ignored), "cannot remove '{}': it is a folder",
          path.string());
    settle(replaced.back());
  }
  // What was there, and where it is until all is well.
  std::vector<std::pair<fs::path, fs::path>> kept;
  size_t committed = 0;
  const auto put_back = [&] {
    for (size_t i = 0; i < committed; i++) unlink(written[i]->path().c_str());
    for (const auto& [path, old] : kept) rename(old.c_str(), path.c_str());
  };
  try {
    kept.reserve(replaced.size());
    for (const fs::path& path : replaced) {
      if (!has_entry(path)) continue;
      // It is on the list before it moves: nothing that fails in between may lose it.
      const auto& [from, to] = kept.emplace_back(path, hidden_beside(path, "old"));
      if (rename(from.c_str(), to.c_str()) != 0) fail_to_write(path);
    }
    for (const auto& file : written) file->commit(), committed++;
  } catch (...) {
    put_back();
    throw;
  }
  for (const auto& [path, old] : kept) unlink(old.c_str());
}

void append_line(const fs::path& path, const std::string& line) {
  const fs::path file = without_links(path);
  const int descriptor =
      open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
  if (descriptor < 0) fail_to_write(path);
  struct stat there;
  const bool regular = fstat(descriptor, &there) == 0 && S_ISREG(there.st_mode);
  try {
    check(regular, "cannot write '{}': it is not a regular file", path.string());
    const std::string whole = line + '\n';
    write_all(descriptor, whole.data(), whole.size(), path);
  } catch (...) {
    const bool restored = regular && ftruncate(descriptor, there.st_size) == 0;
    close(descriptor);
    if (regular && !restored) fail("cannot write '{}': a line may be half written", path.string());
    throw;
  }
  if (close(descriptor) != 0) fail_to_write(path);
}

void check_can_write(const fs::path& path) {
  if (!path.empty()) AtomicFile{path};
}

void check_can_write_folder(const fs::path& path) {
  fs::path there = fs::absolute(path).lexically_normal();
  std::error_code ignored;
  while (!fs::exists(there, ignored) && there.has_relative_path()) there = there.parent_path();
  check(fs::is_directory(there, ignored), "cannot write to '{}': '{}' is not a folder",
        path.string(), there.string());
  // Permissions do not say all: some file systems take no new folder.
  std::string probe = (there / ".lookalike-XXXXXX").string();
  check(mkdtemp(probe.data()) != nullptr, "cannot write to '{}': {}", path.string(), std::strerror(errno));
  rmdir(probe.c_str());
}

void make_folders(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  check(!error, "cannot make the folder '{}': {}", path.string(), error.message());
}

}  // namespace lookalike
