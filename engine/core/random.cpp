#include "engine/core/random.h"

#include <cmath>
#include <numbers>

namespace lookalike {

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = uint64_t{0xD2511F53} * counter[0], p1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += 0x9E3779B9, key[1] += 0xBB67AE85;
  }
  return counter;
}

// The seed and the use are hashed into the key, so every (seed, use) has its own permutation; a and b are the counter's
// high words, hashed when they don't fit. The lowest word counts the blocks of the stream.
Random::Random(uint64_t seed, RandomUse use, uint64_t a, uint64_t b) {
  const auto key =
      philox({static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32), static_cast<uint32_t>(use), 0},
             {0x6C6F6F6B, 0x616C696B});
  key_ = {key[0], key[1]};
  counter_ = {0, static_cast<uint32_t>(a), static_cast<uint32_t>(b),
              static_cast<uint32_t>((a >> 32) * 0x85EBCA6B + (b >> 32))};
}

uint32_t Random::next_u32() {
  if (used_ == 4) {
    block_ = philox(counter_, key_);
    counter_[0]++;
    used_ = 0;
  }
  return block_[used_++];
}

uint64_t Random::below(uint64_t n) {
  const uint64_t limit = ~uint64_t{0} - ~uint64_t{0} % n;
  for (;;) {
    const uint64_t high = next_u32(), value = high << 32 | next_u32();
    if (value < limit) return value % n;
  }
}

float Random::uniform() {
  return static_cast<float>(next_u32() >> 8) * 0x1p-24f;
}

float Random::normal() {
  const double u = (next_u32() + 0.5) * 0x1p-32, v = next_u32() * 0x1p-32;
  return static_cast<float>(std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v));
}

}  // namespace lookalike
