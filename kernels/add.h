// y = a + b, elementwise.
#pragma once

#include <cstdint>

namespace lookalike::cpu {

// y[n] overwritten; it may be a or b.
template <class T>
void add_forward(const T* a, const T* b, T* y, int64_t n);

}  // namespace lookalike::cpu
