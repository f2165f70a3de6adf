#pragma once

#include "engine/autograd/variable.h"
#include "kernels/activation.h"

namespace lookalike {

// x [N,in], w [out,in], bias [out] or undefined -> f(x w^T + bias) [N,out]
Variable linear(const Variable& x, const Variable& w, const Variable& bias, const Activation& activation = {});

}  // namespace lookalike
