// What kernels did to memory on the emulator, kernel by kernel: how many bytes they asked for, how many sectors of 32 bytes
// that took and how few would have done (coalescing), how many passes through the 32 banks of shared memory and how few
// would have done (bank conflicts), barriers. Numbers of access patterns; nothing here is a time.
//
// Loads and stores of a warp belong together when its lanes come by the same instruction for the same time in a block.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace lookalike::simt {

struct GlobalCounts {
  int64_t bytes = 0;    // asked for by the threads
  int64_t sectors = 0;  // of 32 bytes, moved for them
  int64_t least = 0;    // sectors, had the bytes lain side by side
};
struct SharedCounts {
  int64_t bytes = 0;
  int64_t passes = 0;  // of a warp through the banks, 128 bytes at most each
  int64_t least = 0;   // without conflicts
};
struct KernelCounts {
  int64_t launches = 0, blocks = 0, threads = 0, barriers = 0;  // barriers: of blocks
  GlobalCounts loads, stores;
  SharedCounts shared_loads, shared_stores;
};

// Counting is slow, and off at first.
void count_accesses(bool on);
// By the kernel's name, as launch() gives it; of all launches since the program began or clear_counts().
const std::map<std::string, KernelCounts>& kernel_counts();
void clear_counts();

}  // namespace lookalike::simt
