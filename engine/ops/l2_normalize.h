#pragma once

#include "engine/autograd/variable.h"

namespace lookalike {

// Rows of unit length: y = x / max(||x||, eps), x[N, D]. The gradient of a row not longer than eps is zero.
// Definition: kernels/l2_normalize.h.
Variable l2_normalize(const Variable& x, double eps = 1e-12);

}  // namespace lookalike
