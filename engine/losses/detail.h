// What the losses share: not for their users.
#pragma once

#include "engine/losses/loss.h"

namespace lookalike::detail {

// The scalar `loss` whose gradient with respect to `e` is `de`.
LossResult finish(const Variable& e, double loss, const Tensor& de, const LossStats& stats);

}  // namespace lookalike::detail
