// Runs the blocks of a launch, one after the other, and the threads of a block, each until it waits or ends.
#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <numeric>
#include <random>

#include <fmt/format.h>

#include "kernels/simt/emulator.h"

namespace lookalike::simt {
namespace {

enum class Schedule { sequential, reversed, random };

// LOOKALIKE_SIMT_SCHEDULE: in which order blocks run, and threads that can.
Schedule schedule() {
  static const Schedule chosen = [] {
    const char* const name = std::getenv("LOOKALIKE_SIMT_SCHEDULE");
    if (!name || std::string(name) == "sequential") return Schedule::sequential;
    if (std::string(name) == "reversed") return Schedule::reversed;
    if (std::string(name) == "random") return Schedule::random;
    throw gpu::Failure(fmt::format("LOOKALIKE_SIMT_SCHEDULE is '{}', expected sequential, reversed or random", name));
  }();
  return chosen;
}

std::vector<int64_t> order(int64_t n) {
  static std::mt19937 random(1);
  std::vector<int64_t> result(n);
  std::iota(result.begin(), result.end(), 0);
  if (schedule() == Schedule::reversed) std::reverse(result.begin(), result.end());
  if (schedule() == Schedule::random) std::shuffle(result.begin(), result.end(), random);
  return result;
}

uint3 place_in(const dim3& size, int64_t i) {
  const auto x = static_cast<unsigned>(i % size.x), rest = static_cast<unsigned>(i / size.x);
  return {x, rest % size.y, rest / size.y};
}

const char* file_of(const Where& where) {
  const char* const slash = strrchr(where.file_name(), '/');
  return slash ? slash + 1 : where.file_name();
}

// Nobody can go on: who waits for what, and who has ended.
std::string deadlock(const Emulator& e) {
  std::string waits;
  int ended = 0, last = -1;
  for (int i = 0; i < e.count; i++) {
    const Thread& t = *e.threads[i];
    if (t.state == State::done) {
      ended++;
      last = i;
      continue;
    }
    std::string wait = fmt::format("{} ({}:{})", t.what, file_of(t.where), t.where.line());
    if (t.state == State::meeting) {
      wait += fmt::format(" with mask {:#010x}", t.mask);
      for (int lane = 0; lane < 32; lane++) {
        const int other = t.warp() * 32 + lane;
        if (!(t.mask >> lane & 1)) continue;
        if (other >= e.count || e.threads[other]->state == State::done) {
          wait += fmt::format(", whose lane {} has ended", lane);
          break;
        }
      }
    }
    if (waits.find(wait) == std::string::npos) {
      waits += fmt::format("{}thread {} waits at {}", waits.empty() ? "" : "; ", i, wait);
    }
  }
  if (ended > 0) waits += fmt::format("; {} threads have ended, thread {} among them", ended, last);
  return "no thread can go on: " + waits;
}

// All that have not ended are at the barrier: they may go on, unless they are not at the same one, or some have ended.
void release_barrier(Emulator& e) {
  const Thread* first = nullptr;
  for (int i = 0; i < e.count; i++) {
    const Thread& t = *e.threads[i];
    if (t.state != State::at_barrier) return;
    if (!first) first = &t;
    if (!same_place(t.where, first->where)) return;
  }
  e.epoch++;
  count_barrier();
  e.votes = 0;
  for (int i = 0; i < e.count; i++) {
    e.threads[i]->state = State::ready;
    e.votes += e.threads[i]->yes;
  }
}

void run_block(Emulator& e, const std::function<void()>& body) {
  e.arrays.clear();
  e.shared_used = e.shared_asked = 0;
  e.block++, e.epoch++;
  std::ranges::fill(e.warp_epochs, 0);
  std::ranges::fill(e.waiting_lanes, 0);
  e.dynamic = e.allocate_shared(e.launch->shared_bytes, 16, nullptr, "dynamic shared memory");
  for (int i = 0; i < e.count; i++) {
    Thread& t = *e.threads[i];
    t.number = i, t.index = place_in(e.launch->block, i), t.state = State::ready;
    t.copies.assign(1, {});
    t.fiber.start(&body);
  }
  for (int ended = 0; ended < e.count;) {
    bool moved = false;
    for (const int64_t i : order(e.count)) {
      Thread& t = *e.threads[i];
      if (t.state != State::ready) continue;
      moved = true;
      threadIdx = t.index;
      e.running = &t;
      t.fiber.resume();
      e.running = nullptr;
      if (!e.error.empty()) return;
      if (t.state == State::ready) t.state = State::done, ended++;
    }
    release_barrier(e);
    if (!moved && ended < e.count) {
      const auto ready = [](const auto& t) { return t->state == State::ready; };
      if (std::any_of(e.threads.begin(), e.threads.begin() + e.count, ready)) continue;
      e.error = deadlock(e);
      return;
    }
  }
  count_block();
}

}  // namespace

std::string Emulator::place(const Thread& t) const {
  return fmt::format("block ({}, {}, {}), thread ({}, {}, {})", blockIdx.x, blockIdx.y, blockIdx.z, t.index.x,
                     t.index.y, t.index.z);
}

void Emulator::fail(const std::string& what) {
  error = fmt::format("{}: {}", place(*running), what);
  for (;;) running->fiber.give_way();
}

void run(const gpu::Launch& how, void (*thread)(const void*), const void* parameters, size_t bytes) {
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  Emulator& e = emulator();
  const auto refuse = [&](const std::string& why) {
    throw gpu::Failure(fmt::format("{}:{}: {}: {}", file_of(how.where), how.where.line(), how.name, why));
  };
  const int64_t count = int64_t{how.block.x} * how.block.y * how.block.z;
  if (count < 1 || count > 1024) refuse(fmt::format("{} threads in a block, expected 1 to 1024", count));
  if (how.grid.y > 65535 || how.grid.z > 65535) refuse("more than 65,535 blocks in y or z");
  if (e.shared.empty()) {
    e.shared.resize(Emulator::kSharedBytes + 64 * Emulator::kRedZone);
    e.shared_cells.resize(e.shared.size());
  }
  if (how.shared_bytes > Emulator::kSharedBytes) {
    refuse(fmt::format("{} bytes of shared memory, at most {} are there", how.shared_bytes, Emulator::kSharedBytes));
  }
  while (std::ssize(e.threads) < count) e.threads.push_back(std::make_unique<Thread>());
  e.launch = &how, e.error.clear();
  e.parameters = static_cast<const std::byte*>(parameters), e.parameters_end = e.parameters + bytes;
  e.count = static_cast<int>(count);
  e.warp_epochs.resize((count + 31) / 32);
  e.waiting_lanes.resize(e.warp_epochs.size());
  e.launches++;
  count_launch(how);
  e.first_block = e.block + 1;
  e.shared_cells.join();
  blockDim = how.block, gridDim = how.grid;
  const std::function<void()> body = [=] { thread(parameters); };
  for (const int64_t i : order(int64_t{how.grid.x} * how.grid.y * how.grid.z)) {
    blockIdx = place_in(how.grid, i);
    run_block(e, body);
    if (!e.error.empty()) refuse(e.error);
  }
}

int barrier(const Where& where, bool yes) {
  Thread& t = *emulator().running;
  t.state = State::at_barrier, t.what = "__syncthreads", t.where = where, t.yes = yes;
  t.fiber.give_way();
  return emulator().votes;
}

}  // namespace lookalike::simt
