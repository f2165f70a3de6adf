#include "engine/io/scratch_folder.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include <sys/stat.h>

#include "engine/core/error.h"

namespace lookalike {
namespace {

[[noreturn]] void fail_to_make(const std::filesystem::path& path) {
  fail("cannot make the folder '{}': {}", path.string(), std::strerror(errno));
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
  std::error_code error;
  std::filesystem::remove_all(path_, error);
  if (mkdir(path_.c_str(), 0700) != 0) fail_to_make(path_);
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace lookalike
