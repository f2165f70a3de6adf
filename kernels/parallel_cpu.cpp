#include <cstdlib>
#include <string_view>

#include "kernels/parallel.h"

namespace lookalike::cpu {

Isa isa() {
  static const Isa level = [] {
    Isa best = Isa::base;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("f16c"))
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
