// The insides of the emulator: one block of threads at a time, each a fiber; what they wait for; and what the checker knows of
// memory. block.cpp runs blocks, warp.cpp lets lanes meet, memory.cpp checks loads and stores, counts.cpp
// counts them, copy.cpp emulates cp.async.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <span>
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

// The cells of a piece of memory: one for each word of 4 bytes as long as nobody takes less, then one
// for each byte.
class Cells {
 public:
  void resize(size_t bytes) { cells_.resize((bytes + 3) / 4 << (2 - shift_)); }
  bool empty() const { return cells_.empty(); }
  // Those of `bytes` bytes from `begin` on.
  std::span<Cell> at(size_t begin, size_t bytes) {
    if (shift_ == 2 && (begin | bytes) % 4 != 0) split();
    return {cells_.data() + (begin >> shift_), bytes >> shift_};
  }
  // Back to words, where nothing that is known matters any more.
  void join() {
    if (shift_ == 0) cells_.resize(cells_.size() / 4);
    shift_ = 2;
  }

 private:
  void split();

  std::vector<Cell> cells_;
  int shift_ = 2;
};

struct Buffer {
  size_t bytes;
  Cells cells;
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
  std::vector<int> waiting_lanes;  // of each warp: State::meeting
  int votes = 0;  // at the last barrier

  // Memory.
  std::map<uintptr_t, Buffer> buffers;  // by address
  std::pair<const uintptr_t, Buffer>* recent = nullptr;  // the one that was found last
  std::vector<std::byte> shared;        // arrays with red zones between them
  Cells shared_cells;
  std::vector<SharedArray> arrays;
  size_t shared_used = 0, shared_asked = 0;
  std::byte* dynamic = nullptr;

  // Of the running thread: remembers the error and never returns.
  [[noreturn]] void fail(const std::string& what);
  std::string place(const Thread& thread) const;
  // The buffer that begins there or before, or null; with its cells.
  std::pair<const uintptr_t, Buffer>* buffer_before(uintptr_t address);
  void access(const void* address, size_t bytes, bool write, void* pc, size_t alignment = 1);
  std::byte* allocate_shared(size_t bytes, size_t alignment, const void* key, const char* name);
  void check_shared(const std::byte* at, size_t bytes, bool write, void* pc);
  // An atomic both reads and writes, and races with all but atomics.
  void check_cells(std::span<Cell> cells, bool write, bool is_shared, void* pc, bool atomic = false);
  std::span<Cell> cells_of_shared(const std::byte* at, size_t bytes) { return shared_cells.at(at - shared.data(), bytes); }
  Mark now() const {
    return {block, epoch, warp_epochs[running->warp()], static_cast<uint16_t>(running->number),
            static_cast<uint16_t>(running->warp())};
  }
};

inline Emulator& emulator() {
  static auto* const instance = new Emulator;
  return *instance;
}

// Whether both are the same column of the same line of the same file.
inline bool same_place(const Where& a, const Where& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || strcmp(a.file_name(), b.file_name()) == 0);
}

// What counts.h counts; nothing while counting is off.
enum class AccessKind : uint8_t { load, store, shared_load, shared_store };
void count_launch(const gpu::Launch& how);
inline bool counting = false;
void count_this(AccessKind kind, const void* address, size_t bytes, const void* pc);
inline void count_access(AccessKind kind, const void* address, size_t bytes, const void* pc) {
  if (counting) count_this(kind, address, bytes, pc);
}
void count_barrier();
void count_block();  // the block that runs has ended

}  // namespace lookalike::simt
