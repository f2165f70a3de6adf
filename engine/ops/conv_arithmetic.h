// How convolutions are computed: what this thread has chosen, as kernels take it.
#pragma once

#include "engine/core/device.h"
#include "kernels/conv2d.h"

namespace lookalike {

inline void choose_arithmetic(Conv2dParams& p) {
  p.tf32 = tf32_allowed();
  p.cudnn = chosen_conv() == ConvBackend::cudnn;
  p.algorithm =
      chosen_conv() == ConvBackend::exact ? ConvAlgorithm::direct : ConvAlgorithm::measured;
}

}  // namespace lookalike
