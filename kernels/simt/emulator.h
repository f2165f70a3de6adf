// The insides of the emulator: one block of threads at a time, each a fiber; what they wait for; and what the checker knows of
// memory. block.cpp runs blocks, warp.cpp lets lanes meet, memory.cpp checks loads and stores, counts.cpp
// counts them, copy.cpp emulates cp.async.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/gpu/kernel.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/simt.h"

namespace lookalike::simt {

enum class State : uint8_t { ready, at_barrier, meeting, done };

// A cp.async that has not landed.
struct Copy {
  std::byte* to;
  const std::byte* from;
  int bytes;
  bool valid;
};

struct Thread {
  Fiber fiber;
  uint3 index;
  int number;  // in the block
  State state;
  // What it waits for.
  const char* what;
  Where where;
  unsigned mask;
  bool yes;  // its vote at a barrier
  void* data;
  std::vector<std::vector<Copy>> copies;  // committed groups, and the open one last

  int warp() const { return number / 32; }
};

// Who touched a byte last. A moment in a block is its epoch, which barriers end, and within that the epoch of the warp, which
// __syncwarp ends.
struct Mark {
  uint32_t block = 0;  // the number of the block since the program began, or kMany: several of launch `epoch`
  uint32_t epoch = 0, warp_epoch = 0;
  uint16_t thread = 0, warp = 0;  // or kMany
};
constexpr uint32_t kManyBlocks = ~0u;
constexpr uint16_t kMany = 0xFFFF;

struct Cell {
  Mark write, read;
  bool pending = false;  // a cp.async is on its way
  bool atomic = false;   // the last writes were atomics
};

struct Buffer {
  size_t bytes;
  std::unique_ptr<Cell[]> cells;
};

struct SharedArray {
  const void* key;
  std::string name;
  std::byte *begin, *end;
};

struct Emulator {
  static constexpr size_t kSharedBytes = 227 << 10;
  static constexpr size_t kRedZone = 64;

  // The launch.
  const gpu::Launch* launch = nullptr;
  const std::byte *parameters = nullptr, *parameters_end = nullptr;
  uint32_t launches = 0, first_block = 0;
  std::string error;

  // The block.
  std::vector<std::unique_ptr<Thread>> threads;  // pooled; the first `count` are in use
  int count = 0;
  Thread* running = nullptr;
  uint32_t block = 0, epoch = 0;
  std::vector<uint32_t> warp_epochs;
  int votes = 0;  // at the last barrier

  // Memory.
  std::map<uintptr_t, Buffer> buffers;  // by address
  std::vector<std::byte> shared;        // arrays with red zones between them
  std::vector<Cell> shared_cells;
  std::vector<SharedArray> arrays;
  size_t shared_used = 0, shared_asked = 0;
  std::byte* dynamic = nullptr;

  // Of the running thread: remembers the error and never returns.
  [[noreturn]] void fail(const std::string& what);
  std::string place(const Thread& thread) const;
  void access(const void* address, size_t bytes, bool write, void* pc, size_t alignment = 1);
  std::byte* allocate_shared(size_t bytes, size_t alignment, const void* key, const char* name);
  void check_shared(const std::byte* at, size_t bytes, bool write, void* pc);
  // An atomic both reads and writes, and races with all but atomics.
  void check_cells(Cell* cells, size_t bytes, bool write, bool is_shared, void* pc, bool atomic = false);
  Cell* cells_of_shared(const std::byte* at) { return shared_cells.data() + (at - shared.data()); }
  Mark now() const {
    return {block, epoch, warp_epochs[running->warp()], static_cast<uint16_t>(running->number),
            static_cast<uint16_t>(running->warp())};
  }
};

Emulator& emulator();

// What counts.h counts; nothing while counting is off.
enum class AccessKind : uint8_t { load, store, shared_load, shared_store };
void count_launch(const gpu::Launch& how);
void count_access(AccessKind kind, const void* address, size_t bytes, const void* pc);
void count_barrier();
void count_block();  // the block that runs has ended

}  // namespace lookalike::simt
