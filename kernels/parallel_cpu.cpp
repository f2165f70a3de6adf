#include <cstdlib>
#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "kernels/parallel.h"

namespace lookalike::cpu {

#if defined(__x86_64__)
namespace {

// Clang 14 has no name for it.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
}

}  // namespace
#endif

Isa isa() {
  static const Isa level = [] {
    Isa best = Isa::base;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        has_f16c())
      best = Isa::avx2;
    if (best == Isa::avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
      best = Isa::avx512;
#endif
    const char* asked = std::getenv("LOOKALIKE_ISA");
    for (Isa lower : {Isa::base, Isa::avx2})
      if (asked && std::string_view(asked) == name_of(lower)) best = std::min(best, lower);
    return best;
  }();
  return level;
}

const char* name_of(Isa isa) {
  return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "base";
}

}  // namespace lookalike::cpu
