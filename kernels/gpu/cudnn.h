// cuDNN as another maker of the three products of a convolution in NHWC with KRSC weights. The library is loaded when it is
// first asked for and never linked; a build without its header has none of it.
//
// Of the algorithms that repeat bit for bit, cuDNN's heuristics choose one, once for each shape. Products of float are made
// in float, or where p.tf32 allows it in tf32; those of bf16 on tensor cores; sums are float.
#pragma once

#include <string>

#include "kernels/conv2d.h"

namespace lookalike::cudnn {

// Empty, or one line that says why cuDNN cannot be used; then nothing below may be called.
std::string why_not();

enum class Pass : uint8_t { forward, backward_data, backward_weights };

// Bytes of workspace that a pass needs. All arrays are bf16, or else float.
int64_t workspace_bytes(Pass pass, const Conv2dParams& p, bool bf16);

// forward: z = x, w;  backward_data: dx = w, dz;  backward_weights: dw = x, dz. The result is overwritten. Bias, activation
// and pooling are left out. Padding is the same on opposite sides, and no array is empty.
void multiply(Pass pass, const Conv2dParams& p, bool bf16, const void* a, const void* b, void* result, void* workspace,
              gpu::Stream stream);

}  // namespace lookalike::cudnn
