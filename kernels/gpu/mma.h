// Tensor cores: one warp multiplies small matrices held in its registers, d += a b, with the layouts of the PTX manual
// ("Matrix fragments for mma"). With lane = 4 * group + place:
//   mma_bf16  m16n8k16  a[16,16], two values a register: rows group, group + 8; columns 2 place, 2 place + 1, and + 8
//                       b[16,8]: rows 2 place, 2 place + 1, and + 8; column group
//   mma_tf32  m16n8k8   a[16,8]: a0 (group, place), a1 (group + 8, place), a2 (group, place + 4), a3 (group + 8, place + 4)
//                       b[8,8]: b0 (place, group), b1 (place + 4, group)
//   d[16,8] of both     d0, d1 (group, 2 place and + 1), d2, d3 (group + 8, the same columns)
// All 32 lanes of a warp call these together.
#pragma once

#include "kernels/gpu/kernel.h"

namespace lookalike::gpu {

// The nearest tf32 (10 bits of mantissa), ties away from zero.
__device__ inline uint32_t to_tf32(float x) {
#ifdef LOOKALIKE_SIMT
  return (std::bit_cast<uint32_t>(x) + 0x1000) & ~0x1fffu;
#else
  uint32_t result;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(result) : "f"(x));
  return result;
#endif
}

// Two floats rounded to bf16 in one register, the first in the low half.
__device__ inline uint32_t pack_bf16(float low, float high) {
#ifdef LOOKALIKE_SIMT
  return to_bf16(low).bits | static_cast<uint32_t>(to_bf16(high).bits) << 16;
#else
  uint32_t result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
#endif
}

__device__ inline void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef LOOKALIKE_SIMT
  simt::mma_tf32(d, a, b);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

__device__ inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef LOOKALIKE_SIMT
  simt::mma_bf16(d, a, b);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Four 8x8 matrices of 16-bit values from shared memory: lanes 8 i ... 8 i + 7 give the addresses of the rows of matrix
// i, 16 bytes each, 16-byte aligned; r[i] receives row lane / 4, columns 2 (lane % 4) and + 1 of matrix i. With `kTranspose`
// each matrix is transposed on the way.
template <bool kTranspose = false>
__device__ inline void ldmatrix_x4(uint32_t (&r)[4], const void* shared_row) {
#ifdef LOOKALIKE_SIMT
  simt::ldmatrix_x4(r, shared_row, kTranspose);
#else
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(shared_row));
  if constexpr (kTranspose)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
#endif
}

}  // namespace lookalike::gpu
