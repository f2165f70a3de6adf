#include "kernels/simt/counts.h"

#include <algorithm>
#include <array>
#include <compare>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kernels/simt/emulator.h"

namespace lookalike::simt {
namespace {

constexpr uintptr_t kSector = 32, kBankBytes = 4, kBanks = 32;

struct LaneAccess {
  uintptr_t address;
  uint32_t bytes;
  uint32_t lane;
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

// Different multiples of `unit` that the lanes touch, at most one access each (see Key).
int64_t touched(const std::vector<LaneAccess>& lanes, uintptr_t unit) {
  std::array<std::pair<uintptr_t, uintptr_t>, gpu::kWarp> ranges;  // the first, and the one behind the last
  std::ranges::transform(lanes, ranges.begin(), [&](const LaneAccess& lane) {
    return std::pair(lane.address / unit, (lane.address + lane.bytes - 1) / unit + 1);
  });
  std::sort(ranges.begin(), ranges.begin() + lanes.size());
  int64_t count = 0;
  uintptr_t seen = 0;
  for (const auto& [begin, end] : std::span(ranges).first(lanes.size())) {
    if (end > seen) count += end - std::max(begin, seen);
    seen = std::max(seen, end);
  }
  return count;
}

void add_global(const std::vector<LaneAccess>& lanes, GlobalCounts& counts) {
  for (const LaneAccess& lane : lanes) counts.bytes += lane.bytes;
  counts.sectors += touched(lanes, kSector);
  counts.least += (touched(lanes, 1) + kSector - 1) / kSector;
}

// Lanes that pass the banks together: 32 with 4 bytes each, 16 with 8, 8 with 16. Each takes as many passes as the bank that most
// different words are asked of.
void add_shared(const std::vector<LaneAccess>& lanes, SharedCounts& counts) {
  struct Word {
    uintptr_t group, bank, word;
    auto operator<=>(const Word&) const = default;
  };
  static std::vector<Word> words;
  words.clear();
  for (const LaneAccess& lane : lanes) {
    counts.bytes += lane.bytes;
    const uintptr_t together = kBanks * kBankBytes / std::max<uintptr_t>(lane.bytes, kBankBytes);
    for (uintptr_t word = lane.address / kBankBytes; word <= (lane.address + lane.bytes - 1) / kBankBytes; word++) {
      words.push_back({lane.lane / together, word % kBanks, word});
    }
  }
  std::ranges::sort(words);
  words.erase(std::ranges::unique(words).begin(), words.end());
  int64_t passes = 0, of_bank = 0;
  for (size_t i = 0; i < words.size(); i++) {
    const bool same_group = i > 0 && words[i].group == words[i - 1].group;
    of_bank = same_group && words[i].bank == words[i - 1].bank ? of_bank + 1 : 1;
    if (!same_group) counts.passes += std::exchange(passes, 0), counts.least++;
    passes = std::max(passes, of_bank);
  }
  counts.passes += passes;
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
  access.lanes.reserve(gpu::kWarp);
  access.lanes.push_back({reinterpret_cast<uintptr_t>(address), static_cast<uint32_t>(bytes),
                          static_cast<uint32_t>(thread.number % gpu::kWarp)});
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
