// The loss that a recipe names, applied to the stacked embeddings of a batch of pairs.
#pragma once

#include <functional>
#include <string>

#include "engine/core/options.h"
#include "engine/losses/loss.h"

namespace lookalike {

// Embeddings [2N,D], rows i and N+i partners; `seed` feeds the losses that draw negatives.
using Objective = std::function<LossResult(const Variable& embeddings, uint64_t seed)>;

// Reads the [loss] section. A new loss is one entry of the table in objective.cpp.
Objective make_objective(Options& options);

}  // namespace lookalike
