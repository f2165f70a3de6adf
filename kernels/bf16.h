// bfloat16: the upper half of a float. How the GPU stores activations under mixed precision; arithmetic is in float.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/host_device.h"

namespace lookalike {

struct bf16 {
  uint16_t bits;
};

LOOKALIKE_HOST_DEVICE inline float to_float(float x) {
  return x;
}
LOOKALIKE_HOST_DEVICE inline float to_float(bf16 x) {
  return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16);
}

// Rounds to nearest, ties to even; NaN stays NaN. On the GPU one instruction makes two neighbours.
LOOKALIKE_HOST_DEVICE inline bf16 to_bf16(float x) {
#ifdef __CUDA_ARCH__
  bf16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(x));
  return result;
#else
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>(bits >> 16 | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
#endif
}

// T is float or bf16.
template <class T>
LOOKALIKE_HOST_DEVICE inline T from_float(float x);
template <>
LOOKALIKE_HOST_DEVICE inline float from_float<float>(float x) {
  return x;
}
template <>
LOOKALIKE_HOST_DEVICE inline bf16 from_float<bf16>(float x) {
  return to_bf16(x);
}

}  // namespace lookalike
