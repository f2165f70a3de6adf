#pragma once

#include "engine/optim/optimizer.h"

namespace lookalike {

// Adam adds weight decay to the gradient, AdamW takes it from the parameter.
std::unique_ptr<Optimizer> make_adam(const OptimizerOptions& options, std::vector<Parameter> parameters);
std::unique_ptr<Optimizer> make_adamw(const OptimizerOptions& options, std::vector<Parameter> parameters);

}  // namespace lookalike
