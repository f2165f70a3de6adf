// Logarithms without branches or calls, so that loops over them become vectors.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace lookalike::cpu {

// log(x): relative error below 2e-7; -infinity of 0; NaN of NaN, of infinity and below 0. Method and coefficients: Cephes
// logf (Moshier): x = 2^n (1 + r), 1 + r between the roots of 1/2 and 2.
inline float fast_log(float x) {
  const bool tiny = x < std::numeric_limits<float>::min();  // not normal
  const uint32_t bits = std::bit_cast<uint32_t>(tiny ? x * 0x1p23f : x);
  constexpr uint32_t kRoot = 0x3f3504f3;  // of 1/2
  const uint32_t shift = (bits - kRoot) & 0xff800000u;
  const float n = static_cast<float>(static_cast<int32_t>(shift) >> 23) - (tiny ? 23.0f : 0.0f);
  const float r = std::bit_cast<float>(bits - shift) - 1, square = r * r;
  float p = 7.0376836292e-2f;
  p = p * r - 1.1514610310e-1f;
  p = p * r + 1.1676998740e-1f;
  p = p * r - 1.2420140846e-1f;
  p = p * r + 1.4249322787e-1f;
  p = p * r - 1.6668057665e-1f;
  p = p * r + 2.0000714765e-1f;
  p = p * r - 2.4999993993e-1f;
  p = p * r + 3.3333331174e-1f;
  const float rest = p * r * square + n * -2.12194440e-4f - 0.5f * square;
  const float result = (r + rest) + n * 0.693359375f;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return x > 0 ? result + (x - x) : x == 0 ? -kInfinity : std::numeric_limits<float>::quiet_NaN();
}

// log(1 + x), x >= -1, with the accuracy of fast_log: what the rounding of 1 + x lost comes in again.
inline float fast_log1p(float x) {
  const float sum = 1 + x, log = fast_log(sum);
  return sum > 0 ? log + (x - (sum - 1)) / sum : log;
}

}  // namespace lookalike::cpu
