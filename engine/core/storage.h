// Memory of tensors. Blocks come from one arena per device and return to it, so that a training step, which asks for
// the same sizes again and again, touches no fresh pages after the first. On Linux large blocks ask for huge pages.
#pragma once

#include <cstddef>
#include <memory>

namespace lookalike {

// `bytes` of uninitialised memory, aligned to 64 bytes, freed into the arena with its last owner. Thread-safe.
std::shared_ptr<std::byte> arena_allocate(size_t bytes);

// For tests. From now on blocks begin as NaN, so that elements that nobody wrote show, and the program aborts when the
// bytes behind a block have changed by the time it is freed.
void arena_guard_blocks();

}  // namespace lookalike
