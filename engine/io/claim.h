// The right to write something, which one process has at a time: a locked file of its own, hidden
// beside it. The lock goes with the process, whatever ends it, and the next one to claim the same
// removes what it left.
#pragma once

#include <filesystem>
#include <string>

#include <sys/types.h>

#include "engine/core/error.h"

namespace lookalike {

// Another process has the claim.
class ClaimedError : public Error {
 public:
  using Error::Error;
};

class Claim {
 public:
  // Makes a new, empty file `.NAME.lookalike-N` in the folder of `path`, whose name is NAME; N is
  // the first number from 0 that is free. What is there already is never opened for its content,
  // nor followed as a link; another's is left alone. Error about `shown` when the file cannot be
  // made, ClaimedError when another process has the claim.
  Claim(const std::filesystem::path& path, const std::string& shown, mode_t mode = 0666);
  // The claim to a folder as a whole.
  explicit Claim(const std::filesystem::path& folder)
      : Claim(folder / "folder", folder.empty() ? "." : folder.string()) {}
  // Removes the file.
  ~Claim();
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

  int descriptor() const { return descriptor_; }
  const std::filesystem::path& path() const { return path_; }
  // Ends the claim; the file, which has another name now, stays.
  void release();

  // Removes the files of all claims: for the end of a process that runs no destructors.
  static void remove_all() noexcept;

 private:
  bool try_to_take(mode_t mode);
  void forget();

  std::filesystem::path path_;
  int descriptor_ = -1;
  Claim* next_ = nullptr;  // of the list of all
};

// The hidden name for what belongs to `path` for a while, in the same folder.
std::filesystem::path hidden_beside(const std::filesystem::path& path, const std::string& what);

}  // namespace lookalike
