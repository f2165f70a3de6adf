// Convolution in NHWC with KRSC weights, bias, activation and 2x2 max pooling:
//   z[n,p,q,k] = f(bias[k] + sum over r,s,c of x[n, p * stride + r - pad_top, q * stride + s - pad_left, c] w[k,r,s,c])
//   y          = z, or with pool == 2 the maximum over windows of 2x2 side by side (odd sizes round down), and `argmax`,
//                0..3, its place in the window, row by row; ties go to the first
// Outside of the image x is 0. f has a gradient that follows from y (activation.h); with pooling it must be none, relu
// or leaky_relu.
#pragma once

#include <cstdint>

#include "kernels/activation.h"

namespace lookalike {

// How the CPU convolves in float where a 3x3 kernel of stride 1 leaves a choice: whichever is
// faster by measurement, the sum as it is written, or Winograd's F(4x4, 3x3) wherever it can
// (conv2d_winograd.h). Winograd's errors are of the size of the last bits of the largest values in
// a tile of 6x6 inputs, and an infinity or NaN among them reaches all of its 4x4 outputs.
enum class ConvAlgorithm : uint8_t { measured, direct, winograd };

struct Conv2dParams {
  int64_t batch, in_h, in_w, in_c, out_c, kernel_h, kernel_w;
  int64_t stride = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  Activation activation;
  int64_t pool = 1;    // 1 or 2
  bool tf32 = false;   // on the GPU: products of float in tf32, on tensor cores
  bool cudnn = false;  // on the GPU: products by cuDNN where it can express them (conv2d_cudnn.h)
  ConvAlgorithm algorithm = ConvAlgorithm::measured;

  // Before pooling.
  constexpr int64_t out_h() const { return (in_h + pad_top + pad_bottom - kernel_h) / stride + 1; }
  constexpr int64_t out_w() const { return (in_w + pad_left + pad_right - kernel_w) / stride + 1; }
  // Of y.
  constexpr int64_t y_h() const { return out_h() / pool; }
  constexpr int64_t y_w() const { return out_w() / pool; }
};

// Elements of workspace that each pass needs; on the CPU with the present number of threads.
struct Conv2dWorkspace {
  int64_t forward, backward_data, backward_weights;
};

namespace cpu {

template <class T>
Conv2dWorkspace conv2d_workspace(const Conv2dParams& p);

// y[batch, y_h, y_w, out_c] and, with pooling, argmax of the same shape overwritten; bias may be null.
template <class T>
void conv2d_forward(const Conv2dParams& p, const T* x, const T* w, const T* bias, T* y, uint8_t* argmax, T* workspace);
// The same in two steps, for weights that do not change: what forward goes over, `packed`, made once from w and bias, overwritten; it
// depends on channels, kernel and stride alone.
template <class T>
int64_t conv2d_packed_size(const Conv2dParams& p);
template <class T>
void conv2d_pack(const Conv2dParams& p, const T* w, const T* bias, T* packed);
// Without pooling `plus`, like y or null, is added to z before the activation.
template <class T>
void conv2d_forward_packed(const Conv2dParams& p, const T* x, const T* packed, const T* plus, T* y, uint8_t* argmax,
                           T* workspace);
// Two convolutions of one x without pooling, whose outputs are of one size: y[batch, y_h, y_w, p.out_c + q.out_c]. Takes the workspace
// of the one that asks for more.
template <class T>
void conv2d_forward_side_by_side(const Conv2dParams& p, const T* p_packed, const Conv2dParams& q, const T* q_packed,
                                 const T* x, T* y, T* workspace);
// dx[batch, in_h, in_w, in_c] overwritten.
template <class T>
void conv2d_backward_data(const Conv2dParams& p, const T* dy, const T* y, const uint8_t* argmax, const T* w, T* dx,
                          T* workspace);
// Transposed convolution, the adjoint with an end of its own: x[batch, in_h, in_w, in_c] = f(bias[in_c] + what backward data
// makes of dy = z[batch, out_h, out_w, out_c]), overwritten; bias may be null. p without activation and pooling. Takes
// the workspace of backward_data.
template <class T>
void conv_transpose2d_forward(const Conv2dParams& p, const Activation& f, const T* z, const T* w, const T* bias, T* x,
                              T* workspace);
// dw[out_c, kernel_h, kernel_w, in_c] and dbias[out_c] overwritten; dbias may be null.
template <class T>
void conv2d_backward_weights(const Conv2dParams& p, const T* x, const T* dy, const T* y, const uint8_t* argmax, T* dw,
                             T* dbias, T* workspace);

}  // namespace cpu

// For activations (x, y, dy, dz, dx) of T = float and bf16; weights, bias and their gradients are float. Workspaces are
// counted in T. The gradient before activation and pooling, dz, is made once for both backward passes.
namespace cuda {

template <class T>
Conv2dWorkspace conv2d_workspace(const Conv2dParams& p);

// Where to put the mean and the variance [views, out_c] of z (no activation, no pooling) over each of `views` equal
// parts of the batch, as batch_norm_statistics defines them; no views: nowhere.
struct OutputStatistics {
  int64_t views = 0;
  float *mean = nullptr, *variance = nullptr;
};

template <class T>
void conv2d_forward(const Conv2dParams& p, const T* x, const float* w, const float* bias, T* y, uint8_t* argmax,
                    const OutputStatistics& statistics, T* workspace, gpu::Stream stream);
// The same without pooling, where `plus`, like y, is added before the activation. p.cudnn must not be set.
template <class T>
void conv2d_forward_plus(const Conv2dParams& p, const T* x, const float* w, const float* bias, const T* plus, T* y,
                         T* workspace, gpu::Stream stream);
// dz[batch, out_h, out_w, out_c] and dbias[out_c] overwritten. dbias may be null, and without pooling
// dz; with neither activation nor pooling it is dy. Takes the workspace of backward_weights.
template <class T>
void conv2d_output_gradient(const Conv2dParams& p, const T* dy, const T* y, const uint8_t* argmax, T* dz, float* dbias,
                            T* workspace, gpu::Stream stream);
// dx[batch, in_h, in_w, in_c] overwritten.
template <class T>
void conv2d_backward_data(const Conv2dParams& p, const T* dz, const float* w, T* dx, T* workspace, gpu::Stream stream);
// x[batch, in_h, in_w, in_c] overwritten.
template <class T>
void conv_transpose2d_forward(const Conv2dParams& p, const Activation& f, const T* z, const float* w, const float* bias,
                              T* x, T* workspace, gpu::Stream stream);
// dw[out_c, kernel_h, kernel_w, in_c] overwritten.
template <class T>
void conv2d_backward_weights(const Conv2dParams& p, const T* x, const T* dz, float* dw, T* workspace,
                             gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
