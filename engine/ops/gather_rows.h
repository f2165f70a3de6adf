#pragma once

#include <span>

#include "engine/autograd/variable.h"

namespace lookalike {

// Rows of x[M, D] by number, any number of times each: y[i] = x[index[i]] [N, D]. The gradient adds up in the order of the
// list. Error on a number outside of [0, M).
Variable gather_rows(const Variable& x, std::span<const int32_t> index);

}  // namespace lookalike
