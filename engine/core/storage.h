// Memory of tensors. Blocks come from one arena per device and return to it, so that a training step, which asks for
// the same sizes again and again, touches no fresh pages after the first. On Linux large blocks ask for huge pages.
#pragma once

#include <cstddef>
#include <memory>

namespace lookalike {

struct ArenaStats {
  size_t in_use_bytes;    // handed out now
  size_t reserved_bytes;  // taken from the system, in use or waiting
};

ArenaStats arena_stats();
// Gives every waiting block back to the system.
void arena_trim();

// `bytes` of uninitialised memory, aligned to 64 bytes, freed into the arena with its last owner. Thread-safe.
std::shared_ptr<std::byte> arena_allocate(size_t bytes);

}  // namespace lookalike
