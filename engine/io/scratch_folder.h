// A folder for files that nobody else needs, readable by this user alone, removed with all that is
// in it.
#pragma once

#include <filesystem>

namespace lookalike {

class ScratchFolder {
 public:
  // In the folder for temporary files ($TMPDIR, else /tmp). Error when none can be made.
  ScratchFolder();
  // At `path`, which is removed first where it is there; what it holds may leave it by a rename.
  explicit ScratchFolder(std::filesystem::path path);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace lookalike
