#include "engine/io/claim.h"

#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/content_hash.h"

namespace lookalike {
namespace {

constexpr int kMostNames = 100, kMostTries = 1000;

std::mutex claims_mutex;
Claim* first_claim = nullptr;

bool is_named(int descriptor, const std::filesystem::path& path) {
  struct stat opened, named;
  return fstat(descriptor, &opened) == 0 && lstat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// What a name that is taken stands for; `gone` where it is free now.
enum class Holder { gone, living, foreign };

// Removes what a process that has ended left there.
Holder clear(const std::filesystem::path& path) {
  struct stat named;
  if (lstat(path.c_str(), &named) != 0) return errno == ENOENT ? Holder::gone : Holder::foreign;
  if (!S_ISREG(named.st_mode) || named.st_uid != geteuid() || named.st_nlink != 1)
    return Holder::foreign;
  const int descriptor = open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return errno == ENOENT ? Holder::gone : Holder::foreign;
  Holder holder = Holder::gone;
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0)
    holder = errno == EWOULDBLOCK ? Holder::living : Holder::foreign;
  else if (is_named(descriptor, path) && unlink(path.c_str()) != 0)
    holder = Holder::foreign;
  close(descriptor);
  return holder;
}

}  // namespace

std::filesystem::path hidden_beside(const std::filesystem::path& path, const std::string& what) {
  constexpr size_t kLongest = 200;  // so that a name that fits has others that do
  std::string name = path.filename().string();
  if (name.size() > kLongest) {
    ContentHash hash;
    hash.add(name);
    name = hash.hex();
  }
  return path.parent_path() / fmt::format(".{}.lookalike-{}", name, what);
}

// Whether the file is new, ours and locked.
bool Claim::try_to_take(mode_t mode) {
  descriptor_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (descriptor_ < 0) return false;
  // Some file systems have no locks. On the others the file may be taken for a leftover, and
  // removed, until it has one.
  const bool locked = flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
  if (locked && is_named(descriptor_, path_)) return true;
  close(descriptor_);
  descriptor_ = -1;
  errno = EEXIST;
  return false;
}

Claim::Claim(const std::filesystem::path& path, const std::string& shown, mode_t mode) {
  int name = 0;
  for (int tries = 0; name < kMostNames && tries < kMostTries; tries++) {
    path_ = hidden_beside(path, std::to_string(name));
    if (try_to_take(mode)) {
      std::lock_guard lock(claims_mutex);
      next_ = std::exchange(first_claim, this);
      return;
    }
    check(errno == EEXIST, "cannot write '{}': {}", shown, std::strerror(errno));
    const Holder holder = clear(path_);
    if (holder == Holder::living)
      throw ClaimedError(fmt::format("cannot write '{}': another process is writing it", shown));
    if (holder == Holder::foreign) name++;
  }
  fail("cannot write '{}': '{}' and others like it, which it would use, are there already", shown,
       path_.string());
}

Claim::~Claim() {
  if (descriptor_ < 0) return;
  forget();
  unlink(path_.c_str());
  close(descriptor_);
}

void Claim::remove_all() noexcept {
  // Nothing is worth to wait for here.
  const std::unique_lock lock(claims_mutex, std::try_to_lock);
  if (!lock.owns_lock()) return;
  for (const Claim* claim = first_claim; claim; claim = claim->next_) unlink(claim->path_.c_str());
}

void Claim::forget() {
  std::lock_guard lock(claims_mutex);
  Claim** at = &first_claim;
  while (*at != this) at = &(*at)->next_;
  *at = next_;
}

void Claim::release() {
  forget();
  close(descriptor_);
  descriptor_ = -1;
}

}  // namespace lookalike
