// Changes of shape, batch and type without arithmetic.
#pragma once

#include <vector>

#include "engine/autograd/variable.h"

namespace lookalike {

// The same elements in another shape of the same size; shares memory.
Variable reshape(const Variable& x, const Shape& shape);
// bf16 as float; anything else as it is.
Variable to_float(const Variable& x);
// x [N, ...] as [N, the rest]; shares memory.
Variable flatten(const Variable& x);

// Twin batches: the views (left images, right images, ...) of a batch, all [N, ...], as one batch [views * N, ...],
// view after view, so that a network goes over them once.
Variable stack_views(const std::vector<Variable>& views);
// The inverse: row i of each view is the same sample. The views share x's memory.
std::vector<Variable> split_views(const Variable& x, int64_t views);

}  // namespace lookalike
