#include "kernels/simt/counts.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <vector>

#include "kernels/simt/emulator.h"

namespace lookalike::simt {
namespace {

constexpr uintptr_t kSector = 32, kBankBytes = 4, kBanks = 32;

struct LaneAccess {
  uintptr_t address;
  uint32_t bytes;
  int lane;
};

// One instruction of a warp.
struct WarpAccess {
  AccessKind kind;
  std::vector<LaneAccess> lanes;
};

struct Key {
  const void* pc;
  uint32_t time;  // how often the lane has come by before
  uint16_t warp;
  bool operator==(const Key&) const = default;
};
struct HashKey {
  size_t operator()(const Key& key) const {
    return std::hash<const void*>()(key.pc) * 31 + (size_t{key.time} << 16 | key.warp);
  }
};

std::map<std::string, KernelCounts> all;
// Of the block that runs.
std::unordered_map<Key, WarpAccess, HashKey> accesses;
std::array<std::unordered_map<const void*, uint32_t>, 1024> times;  // by thread and instruction

// Different multiples of `unit` that the lanes touch.
int64_t touched(const std::vector<LaneAccess>& lanes, uintptr_t unit) {
  std::vector<uintptr_t> units;
  for (const LaneAccess& lane : lanes) {
    for (uintptr_t at = lane.address / unit; at <= (lane.address + lane.bytes - 1) / unit; at++) units.push_back(at);
  }
  std::ranges::sort(units);
  return std::ranges::distance(units.begin(), std::unique(units.begin(), units.end()));
}

void add_global(const std::vector<LaneAccess>& lanes, GlobalCounts& counts) {
  for (const LaneAccess& lane : lanes) counts.bytes += lane.bytes;
  counts.sectors += touched(lanes, kSector);
  counts.least += (touched(lanes, 1) + kSector - 1) / kSector;
}

// Lanes that pass the banks together: 32 with 4 bytes each, 16 with 8, 8 with 16. Each takes as many passes as the bank that most
// different words are asked of.
void add_shared(const std::vector<LaneAccess>& lanes, SharedCounts& counts) {
  std::map<int, std::map<uintptr_t, std::vector<uintptr_t>>> words;  // by group and bank
  for (const LaneAccess& lane : lanes) {
    counts.bytes += lane.bytes;
    const int together = static_cast<int>(kBanks * kBankBytes / std::max<uintptr_t>(lane.bytes, kBankBytes));
    for (uintptr_t word = lane.address / kBankBytes; word <= (lane.address + lane.bytes - 1) / kBankBytes; word++) {
      words[lane.lane / together][word % kBanks].push_back(word);
    }
  }
  for (auto& [group, banks] : words) {
    int64_t passes = 0;
    for (auto& [bank, asked] : banks) {
      std::ranges::sort(asked);
      passes = std::max<int64_t>(passes, std::unique(asked.begin(), asked.end()) - asked.begin());
    }
    counts.passes += passes;
    counts.least++;
  }
}

}  // namespace

void count_accesses(bool on) {
  counting = on;
}
const std::map<std::string, KernelCounts>& kernel_counts() {
  return all;
}
void clear_counts() {
  all.clear();
}

void count_launch(const gpu::Launch& how) {
  if (counting) all[how.name].launches++;
}

void count_this(AccessKind kind, const void* address, size_t bytes, const void* pc) {
  const Thread& thread = *emulator().running;
  const Key key{pc, times[thread.number][pc]++, static_cast<uint16_t>(thread.warp())};
  WarpAccess& access = accesses[key];
  access.kind = kind;
  access.lanes.push_back(
      {reinterpret_cast<uintptr_t>(address), static_cast<uint32_t>(bytes), thread.number % gpu::kWarp});
}

void count_barrier() {
  if (counting) all[emulator().launch->name].barriers++;
}

void count_block() {
  if (!counting) return;
  KernelCounts& counts = all[emulator().launch->name];
  counts.blocks++, counts.threads += emulator().count;
  for (const auto& [key, access] : accesses) {
    switch (access.kind) {
      case AccessKind::load:
        add_global(access.lanes, counts.loads);
        break;
      case AccessKind::store:
        add_global(access.lanes, counts.stores);
        break;
      case AccessKind::shared_load:
        add_shared(access.lanes, counts.shared_loads);
        break;
      case AccessKind::shared_store:
        add_shared(access.lanes, counts.shared_stores);
        break;
    }
  }
  accesses.clear();
  for (int i = 0; i < emulator().count; i++) times[i].clear();
}

}  // namespace lookalike::simt
