// y += x, elementwise: how the tape adds gradients up.
#pragma once

#include <cstdint>

namespace lookalike::cpu {

// y[n] accumulated.
template <class T>
void accumulate(const T* x, T* y, int64_t n);

}  // namespace lookalike::cpu
