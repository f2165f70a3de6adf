// What the fault injector (inject.cpp) and its driver (fault_driver.cpp) say to each other.
#pragma once

#include <atomic>
#include <cstdint>

namespace lookalike::faults {

// The kinds of calls that can be made to fail. Those of one kind are counted together.
enum Kind : uint32_t {
  kAlloc,       // malloc and its like, and so operator new
  kWrite,       // write, pwrite, writev, and fwrite and fflush of anything but stderr
  kMessage,     // the same to stderr
  kShortWrite,  // write and its like, which then take half of the bytes
  kRead,        // read, pread, readv, fread
  kShortRead,   // the same, which then give half of the bytes
  kInterrupt,   // read, write and their like, and waitpid, interrupted by a signal (EINTR)
  kOpen,        // open, fopen, opendir, mkstemp and their like
  kClose,       // which closes all the same
  kSync,        // fsync, fdatasync
  kRename,
  kUnlink,  // unlink, rmdir, remove
  kMkdir,   // mkdir, mkdtemp
  kTruncate,
  kMmap,
  kLock,  // flock
  kStat,  // stat and its like, access, realpath
  kList,  // readdir
  kMode,  // chmod, fchmod
  kLink,  // link, symlink
  kSpawn,
  kThread,  // pthread_create
  kKinds
};

inline constexpr const char* kNames[kKinds] = {
    "alloc", "write", "message", "shortwrite", "read",  "shortread", "eintr", "open",
    "close", "fsync", "rename",  "unlink",     "mkdir", "ftruncate", "mmap",  "lock",
    "stat",  "list",  "chmod",   "link",       "spawn", "thread"};

// The `n`-th call of a kind fails with `error`, counted from 1 and from main(); with `onwards` all
// later ones, too. None with n = 0.
struct Plan {
  uint32_t kind = 0;
  int32_t error = 0;  // of errno; 0 is the usual one of the kind
  uint64_t n = 0;
  uint32_t onwards = 0;
};

// In a file that both have mapped, so that it outlives a killed process.
struct Counts {
  std::atomic<uint64_t> calls[kKinds];
  std::atomic<uint64_t> failed;
  uint64_t allocations_at_rename[32];  // made before each of the first ones
};

// What the driver asks the server for: one run of the program in a process of its own.
struct Request {
  Plan plan;
  char folder[256];  // to run in
  char out[256], err[256];
};

}  // namespace lookalike::faults
