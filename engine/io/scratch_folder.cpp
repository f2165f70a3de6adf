#include "engine/io/scratch_folder.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/error.h"

namespace lookalike {
namespace {

[[noreturn]] void fail_to_make(const std::filesystem::path& path) {
  fail("cannot make the folder '{}': {}", path.string(), std::strerror(errno));
}

// A folder, or a file, and all that is in it. Asks for no memory, which may be what ended the work.
void remove_all(int parent, const char* name) noexcept {
  if (unlinkat(parent, name, 0) == 0) return;
  const int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  alignas(dirent64) char entries[4096];
  for (ssize_t bytes; folder >= 0 && (bytes = getdents64(folder, entries, sizeof entries)) > 0;)
    for (ssize_t at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
      at += entry->d_reclen;
      const std::string_view in_it = entry->d_name;
      if (in_it != "." && in_it != "..") remove_all(folder, entry->d_name);
    }
  if (folder >= 0) close(folder);
  unlinkat(parent, name, AT_REMOVEDIR);
}

}  // namespace

ScratchFolder::ScratchFolder() {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::temp_directory_path(error);
  check(!error, "$TMPDIR is not a folder, expected one for temporary files");
  std::string name = (folder / "lookalike-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) fail_to_make(name);
  path_ = name;
}

ScratchFolder::ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {
  remove_all(AT_FDCWD, path_.c_str());
  if (mkdir(path_.c_str(), 0700) != 0) fail_to_make(path_);
}

ScratchFolder::~ScratchFolder() {
  remove_all(AT_FDCWD, path_.c_str());
}

}  // namespace lookalike
