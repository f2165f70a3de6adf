#include "engine/core/storage.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

#include "engine/core/error.h"
#include "engine/core/output.h"
#include "engine/core/resources.h"
#include "kernels/gpu/device.h"

namespace lookalike {
namespace {

constexpr size_t kPage = 4096, kHugePage = size_t{2} << 20, kSlab = 4 * kHugePage;

// The address sanitizer watches the ends of blocks that it knows.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSlabs = false;
#else
constexpr bool kSlabs = true;
#endif

// All bits set is NaN in float and in double.
constexpr std::byte kGuard{0xFF};
constexpr size_t kGuardBytes = 256;
std::atomic<bool> guard_blocks = false;

// Sizes are rounded up to one of four steps per power of two, so that a block fits the next request of about its size.
size_t size_class(size_t bytes) {
  if (bytes <= 256) return 256;
  const size_t step = std::bit_floor(bytes - 1) / 4;
  const size_t rounded = (bytes + step - 1) / step * step;
  return rounded >= kHugePage ? (rounded + kHugePage - 1) / kHugePage * kHugePage : rounded;
}

struct Arena {
  // A block that waits begins with the next one of its size: to give one back takes no memory, and
  // cannot fail.
  struct Waiting {
    Waiting* next;
  };
  std::mutex mutex;
  std::map<size_t, Waiting*> waiting;  // of all sizes that were ever taken
  size_t in_use_bytes = 0;

  void* take(size_t bytes) {
    {
      std::lock_guard lock(mutex);
      Waiting*& first = waiting[bytes];
      in_use_bytes += bytes;
      if (first) return std::exchange(first, first->next);
    }
    void* block = kSlabs && bytes >= kPage && bytes < kHugePage ? from_slab(bytes) : fresh(bytes);
    if (!block) {
      std::lock_guard lock(mutex);
      in_use_bytes -= bytes;
      throw OutOfMemory(bytes, in_use_bytes);
    }
    return block;
  }

  // Smaller blocks share huge pages, so that a network's weights do not take a page of 4 KB after the other. What is left at the
  // end of a slab is not used.
  std::byte *slab = nullptr, *slab_end = nullptr;
  void* from_slab(size_t bytes) {
    std::lock_guard lock(mutex);
    if (static_cast<size_t>(slab_end - slab) < bytes) {
      slab = static_cast<std::byte*>(fresh(kSlab));
      slab_end = slab ? slab + kSlab : nullptr;
      if (!slab) return fresh(bytes);
    }
    return std::exchange(slab, slab + bytes);
  }
  static void* fresh(size_t bytes) {
    void* block = std::aligned_alloc(bytes >= kHugePage ? kHugePage : 64, bytes);
    if (block && bytes >= kHugePage) madvise(block, bytes, MADV_HUGEPAGE);
    return block;
  }

  void give_back(void* block, size_t bytes) {
    std::lock_guard lock(mutex);
    in_use_bytes -= bytes;
    Waiting*& first = waiting.find(bytes)->second;
    first = new (block) Waiting{first};
  }
};

// Never destroyed: tensors with static lifetime may outlive any order of destruction.
Arena& arena() {
  static Arena* instance = new Arena;
  return *instance;
}

std::shared_ptr<std::byte> allocate_on_gpu([[maybe_unused]] size_t bytes) {
  if constexpr (gpu::kBuilt) {
    const gpu::Stream stream = gpu::compute_stream();
    auto* block = static_cast<std::byte*>(gpu::allocate(bytes, stream));
    if (guard_blocks) gpu::fill_bytes(block, static_cast<uint8_t>(kGuard), bytes, stream);
    return {block, [stream](std::byte* b) { gpu::release(b, stream); }};
  } else {
    fail("this build has no GPU kernels");
  }
}

}  // namespace

std::shared_ptr<std::byte> arena_allocate(size_t bytes, Device device) {
  if (device == Device::cuda) return allocate_on_gpu(bytes);
  const size_t guard = guard_blocks ? kGuardBytes : 0, rounded = size_class(bytes + guard);
  auto* block = static_cast<std::byte*>(arena().take(rounded));
  if (guard) std::fill_n(block, bytes + guard, kGuard);
  return {block, [=](std::byte* b) {
            if (std::any_of(b + bytes, b + bytes + guard, [](std::byte x) { return x != kGuard; })) {
              say("a tensor of {} bytes was written behind its end", bytes);
              std::abort();
            }
            arena().give_back(b, rounded);
          }};
}

int64_t machine_memory() {
  return static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
}

void arena_guard_blocks() {
  guard_blocks = true;
}

}  // namespace lookalike
