// The checker: every load and store of a kernel comes by here, because kernel files are compiled with -fsanitize=thread and the
// functions that the compiler then calls are ours. Every byte of device and shared memory has a cell that says who wrote and
// read it last, and when.
#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

#include "kernels/simt/emulator.h"

// The program's own memory, from the linker.
extern "C" {
extern const char __executable_start;
extern const char end;
}

namespace lookalike::simt {
namespace {

// " at FILE:LINE" of an instruction, if the program has line numbers and the machine addr2line.
std::string source_line(void* pc) {
  const auto offset = reinterpret_cast<uintptr_t>(pc) - reinterpret_cast<uintptr_t>(&__executable_start) - 1;
  FILE* pipe = popen(fmt::format("addr2line -s -e /proc/{}/exe {:#x} 2>/dev/null", getpid(), offset).c_str(), "r");
  if (!pipe) return "";
  char line[256] = "";
  const bool read = fgets(line, sizeof(line), pipe) != nullptr;
  pclose(pipe);
  const std::string text = line;
  if (!read || text.empty() || text[0] == '?') return "";
  return " at " + text.substr(0, text.find_first_of(" \n"));
}

// Whether what `mark` says happened at the same time as what happens now, in another thread.
inline bool races(const Mark& mark, const Mark& now, const Emulator& e) {
  if (mark.block < e.first_block) return false;  // an earlier launch
  if (mark.block == now.block) {
    if (mark.epoch != now.epoch || mark.thread == now.thread) return false;
    return mark.warp != now.warp || mark.warp_epoch == now.warp_epoch;
  }
  return mark.block != kManyBlocks || mark.epoch == e.launches;
}

std::string who(const Mark& mark, const Mark& now) {
  if (mark.block == kManyBlocks) return "several blocks";
  if (mark.block != now.block) return fmt::format("thread {} of another block", mark.thread);
  return mark.thread == kMany ? "several threads" : fmt::format("thread {}", mark.thread);
}

// Joins `now` to those before that read, or changed by atomics.
void add_mark(Mark& marks, const Mark& now, const Emulator& e) {
  if (!races(marks, now, e)) {
    marks = now;
  } else if (marks.block != now.block) {
    marks = {.block = kManyBlocks, .epoch = e.launches};
  } else {
    marks.thread = kMany;
    if (marks.warp != now.warp) marks.warp = kMany;
    marks.warp_epoch = now.warp_epoch;
  }
}

}  // namespace

void Cells::split() {
  std::vector<Cell> bytes;
  bytes.reserve(4 * cells_.size());
  for (const Cell& word : cells_) bytes.insert(bytes.end(), 4, word);
  cells_ = std::move(bytes), shift_ = 0;
}

void Emulator::check_cells(std::span<Cell> cells, bool write, bool is_shared, void* pc, bool atomic) {
  const Mark mark = now();
  const bool reads = !write || atomic;
  const char* const does = reads ? "reads" : "writes";
  const char* const where = is_shared ? "shared memory" : "device memory";
  for (Cell& cell : cells) {
    if (cell.pending && reads)
      fail(fmt::format("reads {} that a cp.async has not brought yet{}", where, source_line(pc)));
    if (is_shared && reads && cell.write.block != block) {
      fail(fmt::format("reads {} that nobody wrote{}", where, source_line(pc)));
    }
    // Another block's shared memory was another memory.
    if (is_shared && cell.read.block != block) cell.read = {};
    if (is_shared && cell.write.block != block) cell.write = {};
    if (races(cell.write, mark, *this) && !(atomic && cell.atomic)) {
      fail(fmt::format("{} {} that {} writes at the same time{}", does, where, who(cell.write, mark), source_line(pc)));
    }
    if (write && races(cell.read, mark, *this)) {
      fail(fmt::format("writes {} that {} reads at the same time{}", where, who(cell.read, mark), source_line(pc)));
    }
    if (!write)
      add_mark(cell.read, mark, *this);
    else if (atomic && cell.atomic)
      add_mark(cell.write, mark, *this);
    else
      cell.write = mark, cell.atomic = atomic;
  }
}

void Emulator::check_shared(const std::byte* at, size_t bytes, bool write, void* pc) {
  for (const SharedArray& array : arrays) {
    if (at >= array.begin && at + bytes <= array.end) return check_cells(cells_of_shared(at, bytes), write, true, pc);
  }
  std::string nearest;
  for (const SharedArray& array : arrays) {
    if (at + bytes > array.end && at < array.end + kRedZone) nearest = ", behind " + array.name;
    if (at < array.begin && at + kRedZone > array.begin && nearest.empty()) nearest = ", before " + array.name;
  }
  fail(
      fmt::format("{} shared memory outside of every array{}{}", write ? "writes" : "reads", nearest, source_line(pc)));
}

std::pair<const uintptr_t, Buffer>* Emulator::buffer_before(uintptr_t address) {
  if (recent && address - recent->first < recent->second.bytes) return recent;
  const auto next = buffers.upper_bound(address);
  if (next == buffers.begin()) return nullptr;
  recent = &*std::prev(next);
  if (recent->second.cells.empty()) recent->second.cells.resize(recent->second.bytes);
  return recent;
}

void Emulator::access(const void* address, size_t bytes, bool write, void* pc, size_t alignment) {
  const auto* const at = static_cast<const std::byte*>(address);
  if (running->fiber.owns(at)) return;
  if ((reinterpret_cast<uintptr_t>(address) & (alignment - 1)) != 0) {
    const char* const does = write ? "writes" : "reads";
    fail(fmt::format("{} {} bytes where they are not aligned{}", does, bytes, source_line(pc)));
  }
  if (at >= shared.data() && at < shared.data() + shared.size()) {
    count_access(write ? AccessKind::shared_store : AccessKind::shared_load, address, bytes, pc);
    return check_shared(at, bytes, write, pc);
  }
  if (address >= &__executable_start && address < &end) return;
  if (!write && at >= parameters && at + bytes <= parameters_end) return;
  const auto key = reinterpret_cast<uintptr_t>(address);
  if (auto* const found = buffer_before(key)) {
    auto& [begin, buffer] = *found;
    if (key + bytes <= begin + buffer.bytes) {
      count_access(write ? AccessKind::store : AccessKind::load, address, bytes, pc);
      return check_cells(buffer.cells.at(key - begin, bytes), write, false, pc);
    }
    if (key < begin + buffer.bytes + 4096) {
      fail(fmt::format("{} {} bytes at {} of a buffer of {} bytes{}", write ? "writes" : "reads", bytes, key - begin,
                       buffer.bytes, source_line(pc)));
    }
  }
  fail(fmt::format("{} {} bytes outside of every buffer{}", write ? "writes" : "reads", bytes, source_line(pc)));
}

std::byte* Emulator::allocate_shared(size_t bytes, size_t alignment, const void* key, const char* name) {
  if (bytes == 0) return nullptr;
  shared_asked += bytes;
  if (shared_asked > kSharedBytes) {
    fail(fmt::format("{} bytes of shared memory, at most {} are there", shared_asked, kSharedBytes));
  }
  const auto base = reinterpret_cast<uintptr_t>(shared.data());
  alignment = std::max<size_t>(alignment, 16);
  const uintptr_t begin = (base + shared_used + kRedZone + alignment - 1) / alignment * alignment;
  auto* const memory = shared.data() + (begin - base);
  shared_used = begin - base + bytes;
  std::fill_n(memory, bytes, std::byte{0xFF});
  for (Cell& cell : shared_cells.at(begin - base, (bytes + 3) / 4 * 4)) cell.pending = false;
  arrays.push_back({key, name, memory, memory + bytes});
  return memory;
}

void* shared_array(const void* key, size_t bytes, size_t alignment, const char* name) {
  Emulator& e = emulator();
  for (const SharedArray& array : e.arrays) {
    if (array.key == key) return array.begin;
  }
  return e.allocate_shared(bytes, alignment, key, name);
}

void* dynamic_shared() {
  return emulator().dynamic;
}

void touch_atomic(const void* address, size_t bytes) {
  Emulator& e = emulator();
  void* const pc = __builtin_return_address(0);
  const auto* const at = static_cast<const std::byte*>(address);
  for (const SharedArray& array : e.arrays) {
    if (at >= array.begin && at + bytes <= array.end) {
      e.check_cells(e.cells_of_shared(at, bytes), true, true, pc, true);
      return;
    }
  }
  const auto key = reinterpret_cast<uintptr_t>(address);
  if (auto* const found = e.buffer_before(key)) {
    auto& [begin, buffer] = *found;
    if (key + bytes <= begin + buffer.bytes) {
      e.check_cells(buffer.cells.at(key - begin, bytes), true, false, pc, true);
      return;
    }
  }
  e.fail("an atomic outside of every buffer" + source_line(pc));
}

}  // namespace lookalike::simt

extern "C" {

#define LOOKALIKE_SEE(function, bytes, write, alignment)                                    \
  void function(void* address) {                                                            \
    auto& e = lookalike::simt::emulator();                                                  \
    if (e.running) e.access(address, bytes, write, __builtin_return_address(0), alignment); \
  }
#define LOOKALIKE_SEE_SIZE(n)                          \
  LOOKALIKE_SEE(__tsan_read##n, n, false, n)           \
  LOOKALIKE_SEE(__tsan_write##n, n, true, n)           \
  LOOKALIKE_SEE(__tsan_unaligned_read##n, n, false, 1) \
  LOOKALIKE_SEE(__tsan_unaligned_write##n, n, true, 1)
LOOKALIKE_SEE_SIZE(1)
LOOKALIKE_SEE_SIZE(2)
LOOKALIKE_SEE_SIZE(4)
LOOKALIKE_SEE_SIZE(8)
LOOKALIKE_SEE_SIZE(16)
void __tsan_read_range(void* address, size_t bytes) {
  auto& e = lookalike::simt::emulator();
  if (e.running) e.access(address, bytes, false, __builtin_return_address(0));
}
void __tsan_write_range(void* address, size_t bytes) {
  auto& e = lookalike::simt::emulator();
  if (e.running) e.access(address, bytes, true, __builtin_return_address(0));
}
// The guard of a static variable in a host function.
char __tsan_atomic8_load(const volatile char* address, int) {
  return __atomic_load_n(address, __ATOMIC_ACQUIRE);
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
}
