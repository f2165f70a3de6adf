// Lanes of a warp that meet: shuffles, votes, and the instructions that a warp does as one.
#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "kernels/simt/emulator.h"

namespace lookalike::simt {

int lane() {
  return emulator().running->number % 32;
}

void bad_source(int source) {
  emulator().fail(fmt::format("a shuffle reads lane {}, which is not in its mask", source));
}

void meet(unsigned mask, const char* what, const Where& where, void* data, size_t, void (*meeting)(Lanes& lanes)) {
  Emulator& e = emulator();
  Thread& me = *e.running;
  if (!(mask >> lane() & 1))
    e.fail(fmt::format("{} with mask {:#010x}, which lacks its own lane {}", what, mask, lane()));
  me.state = State::meeting, me.what = what, me.where = where, me.mask = mask, me.data = data;
  // The last to come holds the meeting.
  const int first = me.warp() * 32, there = std::min(32, e.count - first);
  const unsigned lanes_there = ~0u >> (32 - there);
  const int expected = std::popcount(mask & lanes_there);
  int& waiting = e.waiting_lanes[me.warp()];
  if (++waiting < expected) return me.fiber.give_way();
  Lanes lanes = {};
  // A full mask in a block whose last warp is not full names lanes that never were.
  bool all = mask == ~0u || (mask & ~lanes_there) == 0, whole_warp = true;
  for (int i = 0; i < there; i++) {
    const Thread& t = *e.threads[first + i];
    if (!(mask >> i & 1)) {
      whole_warp = whole_warp && t.state == State::done;
      continue;
    }
    all = all && t.state == State::meeting && t.mask == mask && t.what == what && same_place(t.where, where);
    lanes[i] = t.data;
  }
  if (!all) return me.fiber.give_way();
  if (meeting) meeting(lanes);
  for (int i = 0; i < there; i++) {
    if (mask >> i & 1) e.threads[first + i]->state = State::ready;
  }
  waiting -= expected;
  // Only __syncwarp orders what the lanes do to memory.
  if (!meeting && whole_warp) e.warp_epochs[me.warp()]++;
}

namespace {

struct Fragments {
  float* d;
  const uint32_t *a, *b;
};

float value_tf32(uint32_t bits) {
  return std::bit_cast<float>(bits & ~0x1fffu);  // what tensor cores read of a float
}
float value_bf16(uint32_t pair, int which) {
  return std::bit_cast<float>(which ? pair & 0xffff0000u : pair << 16);
}

// Of element (row, k) of a and (k, column) of b: which lane holds it, in which register; the layouts of kernels/gpu/mma.h.
void multiply_tf32(Lanes& lanes) {
  const auto of = [&](int lane) { return *static_cast<Fragments*>(lanes[lane]); };
  for (int row = 0; row < 16; row++) {
    for (int column = 0; column < 8; column++) {
      float& d = of(row % 8 * 4 + column / 2).d[row / 8 * 2 + column % 2];
      float sum = 0;
      for (int k = 0; k < 8; k++) {
        sum += value_tf32(of(row % 8 * 4 + k % 4).a[row / 8 + k / 4 * 2]) * value_tf32(of(column * 4 + k % 4).b[k / 4]);
      }
      d += sum;
    }
  }
}
void multiply_bf16(Lanes& lanes) {
  const auto of = [&](int lane) { return *static_cast<Fragments*>(lanes[lane]); };
  for (int row = 0; row < 16; row++) {
    for (int column = 0; column < 8; column++) {
      float& d = of(row % 8 * 4 + column / 2).d[row / 8 * 2 + column % 2];
      float sum = 0;
      for (int k = 0; k < 16; k++) {
        const int place = k % 8 / 2;
        sum += value_bf16(of(row % 8 * 4 + place).a[row / 8 + k / 8 * 2], k % 2) *
               value_bf16(of(column * 4 + place).b[k / 8], k % 2);
      }
      d += sum;
    }
  }
}

struct MatrixRow {
  uint32_t* r;
  const std::byte* row;
  bool transpose;
};
void load_matrices(Lanes& lanes) {
  const auto of = [&](int lane) { return *static_cast<MatrixRow*>(lanes[lane]); };
  const auto element = [&](int matrix, int row, int column) {
    uint16_t value;
    memcpy(&value, of(8 * matrix + row).row + 2 * column, sizeof(value));
    return uint32_t{value};
  };
  for (int lane = 0; lane < 32; lane++) {
    for (int i = 0; i < 4; i++) {
      const int row = lane / 4, column = lane % 4 * 2;
      of(lane).r[i] = of(lane).transpose ? element(i, column, row) | element(i, column + 1, row) << 16
                                         : element(i, row, column) | element(i, row, column + 1) << 16;
    }
  }
}

}  // namespace

void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Where where) {
  Fragments mine{d, a, b};
  meet(~0u, "mma_tf32", where, &mine, sizeof(mine), multiply_tf32);
}
void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Where where) {
  Fragments mine{d, a, b};
  meet(~0u, "mma_bf16", where, &mine, sizeof(mine), multiply_bf16);
}
void ldmatrix_x4(uint32_t (&r)[4], const void* shared_row, bool transpose, Where where) {
  Emulator& e = emulator();
  if (reinterpret_cast<uintptr_t>(shared_row) % 16 != 0) e.fail("ldmatrix: a row is not aligned to 16 bytes");
  e.access(shared_row, 16, false, __builtin_return_address(0));
  MatrixRow mine{r, static_cast<const std::byte*>(shared_row), transpose};
  meet(~0u, "ldmatrix", where, &mine, sizeof(mine), load_matrices);
}

}  // namespace lookalike::simt
