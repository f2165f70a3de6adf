#include "engine/core/storage.h"

#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include <sys/mman.h>

#include "engine/core/error.h"

namespace lookalike {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

// Sizes are rounded up to one of four steps per power of two, so that a block fits the next request of about its size.
size_t size_class(size_t bytes) {
  if (bytes <= 256) return 256;
  const size_t step = std::bit_floor(bytes - 1) / 4;
  const size_t rounded = (bytes + step - 1) / step * step;
  return rounded >= kHugePage ? (rounded + kHugePage - 1) / kHugePage * kHugePage : rounded;
}

struct Arena {
  std::mutex mutex;
  std::map<size_t, std::vector<void*>> waiting;
  ArenaStats stats{};

  void* take(size_t bytes) {
    {
      std::lock_guard lock(mutex);
      stats.in_use_bytes += bytes;
      auto& blocks = waiting[bytes];
      if (!blocks.empty()) {
        void* block = blocks.back();
        blocks.pop_back();
        return block;
      }
      stats.reserved_bytes += bytes;
    }
    void* block = std::aligned_alloc(bytes >= kHugePage ? kHugePage : 64, bytes);
    if (!block) {
      std::lock_guard lock(mutex);
      stats.in_use_bytes -= bytes, stats.reserved_bytes -= bytes;
      fail("out of memory: {} bytes asked for, {} in use", bytes, stats.in_use_bytes);
    }
    if (bytes >= kHugePage) madvise(block, bytes, MADV_HUGEPAGE);
    return block;
  }

  void give_back(void* block, size_t bytes) {
    std::lock_guard lock(mutex);
    stats.in_use_bytes -= bytes;
    waiting[bytes].push_back(block);
  }
};

// Never destroyed: tensors with static lifetime may outlive any order of destruction.
Arena& arena() {
  static Arena* instance = new Arena;
  return *instance;
}

}  // namespace

ArenaStats arena_stats() {
  std::lock_guard lock(arena().mutex);
  return arena().stats;
}

void arena_trim() {
  std::lock_guard lock(arena().mutex);
  for (auto& [bytes, blocks] : arena().waiting) {
    for (void* block : blocks) std::free(block);
    arena().stats.reserved_bytes -= bytes * blocks.size();
    blocks.clear();
  }
}

std::shared_ptr<std::byte> arena_allocate(size_t bytes) {
  const size_t rounded = size_class(bytes);
  auto* block = static_cast<std::byte*>(arena().take(rounded));
  return {block, [rounded](std::byte* b) { arena().give_back(b, rounded); }};
}

}  // namespace lookalike
