// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// A stream is named by what it is for, never by thread or order: Random(seed, use, epoch, sample) gives the same numbers
// anywhere.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

namespace lookalike {

// One block of Philox4x32-10.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// What a stream is for, so that two uses with the same seed never share numbers.
enum class RandomUse : uint32_t { weights, shuffle, augment, negatives, split, candidates, bootstrap, dropout, test };

class Random {
 public:
  // `a` and `b` name the stream within its use: an epoch and a sample id, a parameter's index.
  Random(uint64_t seed, RandomUse use, uint64_t a = 0, uint64_t b = 0);

  uint32_t next_u32();
  // [0, n) without bias; n >= 1.
  uint64_t below(uint64_t n);
  // [0, 1) with 24 random bits.
  float uniform();
  float uniform(float low, float high) { return low + (high - low) * uniform(); }
  // Standard normal (Box-Muller).
  float normal();

  // Fisher-Yates.
  template <class T>
  void shuffle(std::span<T> items) {
    for (size_t i = items.size(); i > 1; i--) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
};

}  // namespace lookalike
