#pragma once

#include "engine/autograd/variable.h"

namespace lookalike {

// Pooling of x [N, H, W, C] over size x size windows: [N, (H + 2 padding - size) / stride + 1, (W + 2 padding - size) /
// stride + 1, C], rounded down. stride 0 means size: windows side by side. padding is below size and never wins.
// Definitions: kernels/pool2d.h.
Variable max_pool2d(const Variable& x, int64_t size, int64_t stride = 0, int64_t padding = 0);
Variable avg_pool2d(const Variable& x, int64_t size, int64_t stride = 0);

// Over all positions: [N, H, W, C] -> [N, C].
Variable global_max_pool(const Variable& x);
Variable global_avg_pool(const Variable& x);

}  // namespace lookalike
