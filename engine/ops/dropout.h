#pragma once

#include "engine/autograd/variable.h"

namespace lookalike {

// Each element of x with probability `rate` 0, else divided by 1 - rate. The same seed drops the same ones, on every device.
Variable dropout(const Variable& x, double rate, uint64_t seed);

}  // namespace lookalike
