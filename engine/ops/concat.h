#pragma once

#include "engine/autograd/variable.h"

namespace lookalike {

// a [...,A] and b [...,B], alike in all other dimensions -> [...,A+B]: a's channels and behind them b's.
Variable concat_channels(const Variable& a, const Variable& b);

}  // namespace lookalike
