// Memory of tensors. Blocks come from one arena per device and return to it, so that a training step, which asks for
// the same sizes again and again, touches no fresh pages after the first. On Linux large blocks ask for huge pages; the
// GPU's arena is its stream-ordered pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/core/device.h"

namespace lookalike {

// `bytes` of uninitialised memory, aligned to 64 bytes, freed into the arena with its last owner. Thread-safe. GPU memory
// may be used on the compute stream.
std::shared_ptr<std::byte> arena_allocate(size_t bytes, Device device = Device::cpu);

// What this machine has, in bytes, whoever uses it.
int64_t machine_memory();

// For tests. From now on blocks begin as NaN, so that elements that nobody wrote show, and the program aborts when the
// bytes behind a block have changed by the time it is freed.
void arena_guard_blocks();

}  // namespace lookalike
