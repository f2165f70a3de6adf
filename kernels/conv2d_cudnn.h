// The passes of conv2d.h with cuDNN's products. What it does not fuse follows in passes of its own: bias and activation,
// pooling, statistics. With bf16 the weights' gradient comes out of cuDNN as bf16.
#pragma once

#include "kernels/conv2d.h"

namespace lookalike::cudnn {

// Whether cuDNN is chosen for a convolution, and can express it.
inline bool makes(const Conv2dParams& p) {
  return p.cudnn && p.pad_top == p.pad_bottom && p.pad_left == p.pad_right && p.batch * p.in_c * p.out_c > 0;
}

// As in conv2d.h, namespace cuda.
template <class T>
Conv2dWorkspace conv2d_workspace(const Conv2dParams& p);
template <class T>
void conv2d_forward(const Conv2dParams& p, const T* x, const float* w, const float* bias, T* y, uint8_t* argmax,
                    const cuda::OutputStatistics& statistics, T* workspace, gpu::Stream stream);
template <class T>
void conv2d_backward_data(const Conv2dParams& p, const T* dz, const float* w, T* dx, T* workspace, gpu::Stream stream);
template <class T>
void conv2d_backward_weights(const Conv2dParams& p, const T* x, const T* dz, float* dw, T* workspace,
                             gpu::Stream stream);

}  // namespace lookalike::cudnn
