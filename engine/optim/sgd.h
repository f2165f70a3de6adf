#pragma once

#include "engine/optim/optimizer.h"

namespace lookalike {

// Stochastic gradient descent with momentum.
std::unique_ptr<Optimizer> make_sgd(const OptimizerOptions& options, std::vector<Parameter> parameters);

}  // namespace lookalike
