#pragma once

#include "engine/autograd/variable.h"

namespace lookalike {

// Elementwise a + b of two variables of the same shape.
Variable add(const Variable& a, const Variable& b);

}  // namespace lookalike
