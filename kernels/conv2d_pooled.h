// Backward of a pooled convolution in float by its non-zero gradients alone (conv2d_pooled_tile.h says how). The same
// contracts as in conv2d.h; conv2d_float_cpu.cpp chooses.
#pragma once

#include "kernels/conv2d.h"

namespace lookalike::cpu {

bool backward_data_is_pooled(const Conv2dParams& p);
bool backward_weights_is_pooled(const Conv2dParams& p);
int64_t pooled_backward_data_workspace(const Conv2dParams& p);
int64_t pooled_backward_weights_workspace(const Conv2dParams& p);

void pooled_backward_data(const Conv2dParams& p, const float* dy, const float* y, const uint8_t* argmax, const float* w,
                          float* dx, float* workspace);
void pooled_backward_weights(const Conv2dParams& p, const float* x, const float* dy, const float* y,
                             const uint8_t* argmax, float* dw, float* dbias, float* workspace);

}  // namespace lookalike::cpu
