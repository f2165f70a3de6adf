// Results that are none: NaN and infinities.
#pragma once

#include "engine/core/tensor.h"

namespace lookalike {

// The first row of an f32 or f64 tensor [n, ...] on the CPU that holds NaN or an infinity; -1 where none does, and for any other
// type. A tensor of rank 0 is one row.
int64_t first_row_not_finite(const Tensor& tensor);

// The least element of an f32 or f64 tensor on the CPU without NaN; infinity where it has none.
double least_value(const Tensor& tensor);

}  // namespace lookalike
