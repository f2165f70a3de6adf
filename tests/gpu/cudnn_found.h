#pragma once

#include <fmt/format.h>

#include "kernels/gpu/cudnn.h"

namespace lookalike::testing {

// Whether tests of cuDNN can run; if not, one line says why.
inline bool cudnn_found() {
  static const bool found = [] {
    const std::string why_not = cudnn::why_not();
    if (!why_not.empty()) fmt::print("skipped: cuDNN: {}\n", why_not);
    return why_not.empty();
  }();
  return found;
}

}  // namespace lookalike::testing
