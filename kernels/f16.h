// IEEE half precision: how an index may keep its embeddings, in half of the memory of float.
// Arithmetic is in float.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace lookalike {

struct f16 {
  uint16_t bits;
};

__attribute__((always_inline)) inline float to_float(f16 x) {
  const uint32_t sign = (x.bits & 0x8000u) << 16, exponent = x.bits >> 10 & 31,
                 mantissa = x.bits & 1023;
  if (exponent == 0)
    return std::copysign(static_cast<float>(mantissa) * 0x1p-24f, std::bit_cast<float>(sign));
  return std::bit_cast<float>(sign | (exponent == 31 ? 255 : exponent + 112) << 23 |
                              mantissa << 13);
}

// Rounds to nearest, ties to even; what is too large becomes infinity, and NaN stays NaN.
inline f16 to_f16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x), sign = bits >> 16 & 0x8000;
  const float size = std::abs(x);
  if (!(size < 65520)) return {static_cast<uint16_t>(sign | (std::isnan(x) ? 0x7e00 : 0x7c00))};
  // Below 2^-14 all steps are 2^-24: added to 0.5, whose last bit is worth that, a float rounds so.
  const uint32_t small = std::bit_cast<uint32_t>(size + 0.5f) - std::bit_cast<uint32_t>(0.5f);
  const uint32_t from = bits & 0x7fffffff;
  const uint32_t normal = (from + 0xfff + (from >> 13 & 1) - (112u << 23)) >> 13;
  return {static_cast<uint16_t>(sign | (size < 0x1p-14f ? small : normal))};
}

}  // namespace lookalike
