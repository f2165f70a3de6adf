#pragma once

#include "engine/autograd/variable.h"
#include "kernels/activation.h"

namespace lookalike {

// Elementwise f(a + b) of two variables of the same shape.
Variable add(const Variable& a, const Variable& b, const Activation& f = {});

}  // namespace lookalike
