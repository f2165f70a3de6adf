#pragma once

#include "engine/autograd/variable.h"
#include "kernels/pair_features.h"

namespace lookalike {

// Rows a[N, D], b[N, D] -> |a - b| [N, D], or beside it a * b, [N, 2D]. Definition: kernels/pair_features.h.
Variable pair_features(const Variable& a, const Variable& b, PairFeatures kind);

}  // namespace lookalike
