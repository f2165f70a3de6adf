// exp without branches or calls, so that loops over it become vectors.
#pragma once

#include <bit>
#include <cstdint>

namespace lookalike::cpu {

// exp(x) for x <= 88: relative error below 2e-7; 0 below -87.3, where the result would leave the normal numbers; NaN of
// NaN. Method and coefficients: Cephes expf (Moshier): x = n ln 2 + r, |r| <= ln 2 / 2, exp x = 2^n exp r.
inline float fast_exp(float x) {
  // Adding 1.5 * 2^23 rounds to a whole number and leaves it in the low bits.
  const float rounder = 0x1.8p23f, shifted = x * 1.44269504f + rounder, n = shifted - rounder;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1;
  const float power = std::bit_cast<float>((std::bit_cast<uint32_t>(shifted) << 23) + 0x3f800000u);
  return x < -87.3f ? 0 : p * power;
}

}  // namespace lookalike::cpu
