// Depthwise convolution in NHWC: each channel with a filter of its own.
//   y[n,p,q,c] = f(bias[c] + sum over r,s of x[n, p * stride + r - pad_top, q * stride + s - pad_left, c] w[r,s,c])
// Outside of the image x is 0. Weights are [kernel_h, kernel_w, channels], so that a tap's lie like a pixel's channels.
#pragma once

#include <cstdint>

#include "kernels/activation.h"

namespace lookalike {

struct DepthwiseConv2dParams {
  int64_t batch, in_h, in_w, channels, kernel_h, kernel_w;
  int64_t stride = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  Activation activation;

  constexpr int64_t out_h() const { return (in_h + pad_top + pad_bottom - kernel_h) / stride + 1; }
  constexpr int64_t out_w() const { return (in_w + pad_left + pad_right - kernel_w) / stride + 1; }
  constexpr int64_t taps() const { return kernel_h * kernel_w; }
};

namespace cpu {

// Elements of workspace that backward weights needs.
template <class T>
int64_t depthwise_conv2d_workspace(const DepthwiseConv2dParams& p);

// y[batch, out_h, out_w, channels] overwritten; bias may be null.
template <class T>
void depthwise_conv2d_forward(const DepthwiseConv2dParams& p, const T* x, const T* w, const T* bias, T* y);
// dx[batch, in_h, in_w, channels] overwritten; dz is the gradient before the activation.
template <class T>
void depthwise_conv2d_backward_data(const DepthwiseConv2dParams& p, const T* dz, const T* w, T* dx);
// dw[kernel_h, kernel_w, channels] and dbias[channels] overwritten; dbias may be null.
template <class T>
void depthwise_conv2d_backward_weights(const DepthwiseConv2dParams& p, const T* x, const T* dz, T* dw, T* dbias,
                                       T* workspace);

}  // namespace cpu

// The same for activations (x, y, dz, dx) of T = float and bf16; weights, bias and their gradients are float, as is the workspace.
// x and y have at most 2^31 - 2^16 elements.
namespace cuda {

template <class T>
int64_t depthwise_conv2d_workspace(const DepthwiseConv2dParams& p);
template <class T>
void depthwise_conv2d_forward(const DepthwiseConv2dParams& p, const T* x, const float* w, const float* bias, T* y,
                              gpu::Stream stream);
template <class T>
void depthwise_conv2d_backward_data(const DepthwiseConv2dParams& p, const T* dz, const float* w, T* dx,
                                    gpu::Stream stream);
template <class T>
void depthwise_conv2d_backward_weights(const DepthwiseConv2dParams& p, const T* x, const T* dz, float* dw, float* dbias,
                                       float* workspace, gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
