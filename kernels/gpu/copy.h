// Asynchronous copies from global to shared memory (cp.async): a thread starts copies, commits what it started as one
// group, and waits until at most so many of its own groups are still under way. Other threads see the data after a
// barrier that follows the wait.
#pragma once

#include "kernels/gpu/kernel.h"

namespace lookalike::gpu {

// kBytes is 4, 8 or 16, and both addresses are aligned to it. Where not `valid` zeros are written and `global` is not read.
template <int kBytes>
__device__ inline void cp_async(void* shared, const void* global, bool valid = true) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
#ifdef LOOKALIKE_SIMT
  simt::cp_async(shared, global, kBytes, valid);
#else
  const uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  const int bytes = valid ? kBytes : 0;
  if constexpr (kBytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(global), "n"(kBytes), "r"(bytes)
                 : "memory");
#endif
}

__device__ inline void cp_async_commit() {
#ifdef LOOKALIKE_SIMT
  simt::cp_async_commit();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

template <int kPending>
__device__ inline void cp_async_wait() {
#ifdef LOOKALIKE_SIMT
  simt::cp_async_wait(kPending);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

// *global, or 0 where it is null; without a branch, so that many such loads are under way together.
__device__ inline uint16_t load_or_zero(const uint16_t* global) {
#ifdef LOOKALIKE_SIMT
  return global != nullptr ? *global : 0;
#else
  uint16_t result;
  asm volatile("{\n\t.reg .pred p;\n\tsetp.ne.u64 p, %1, 0;\n\tmov.u16 %0, 0;\n\t@p ld.global.u16 %0, [%1];\n\t}"
               : "=h"(result)
               : "l"(global)
               : "memory");
  return result;
#endif
}

}  // namespace lookalike::gpu
