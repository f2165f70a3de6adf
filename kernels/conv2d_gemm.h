// Convolution as a matrix product (kernels/gpu/gemm.h) whose operands are gathered from the images while they are loaded;
// patches are never stored.
//   forward           m = output pixels        n = output channels   k = (r, s, c)       x gathered,  w[k][r][s][c]
//   backward data     m = input pixels         n = input channels    k = (r, s, out c)   dz gathered, w turned to [c][r][s][k]
//   backward weights  m = output channels      n = (r, s, c)         k = output pixels   dz[pixel][k], x gathered
// Backward data of a stride falls apart into stride^2 products, one for each phase of an input pixel: a pixel meets only the
// taps of its own phase.
//
// Loads want 16 bytes of channels. Where the channels are no multiple of that, x (three channels and more) and its
// weights are copied once into the workspace with channels of zeros added; one and two channels load element by element.
//
// Limits: below 2^31 elements in x (padded), dz and y each; rows and columns, with padding, below 2^15.
#pragma once

#include "kernels/conv2d.h"
#include "kernels/conv2d_phases.h"
#include "kernels/gpu/elementwise.h"
#include "kernels/gpu/fast_divide.h"
#include "kernels/gpu/gemm_output.h"

namespace lookalike::cuda {

template <class T>
constexpr int kConvVector = 16 / sizeof(T);

// Channels of x as the products see them.
template <class T>
int64_t padded_channels(const Conv2dParams& p) {
  return p.in_c < 3 ? p.in_c : gpu::ceil_divide<int64_t>(p.in_c, kConvVector<T>) * kConvVector<T>;
}

// Windows of an image: outer index = pixel, depth = (row of the window, column, channel), channels contiguous.
//   element = image[n][row0 + row * direction][column0 + column * direction][channel]
// direction -1 walks backwards, as backward data does. With `pooled` the four pixels of each 2x2 window are neighbours:
// pixel = 4 * (window) + place.
template <class T, int kVector_, int kDirection>
struct WindowSource {
  using Element = T;
  static constexpr bool kDepthContiguous = true;
  static constexpr bool kLanesAlongOuter = false;
  static constexpr int kVector = kVector_;

  const T* image;
  int outer_size, depth_size;
  int height, width, channels;  // of the image
  int stride, top, left;        // window (p, q) starts at (p * stride + top, q * stride + left)
  bool pooled;
  gpu::FastDivide by_row, by_image;            // of the pixels: columns, rows times columns (with pooled: of windows)
  gpu::FastDivide by_channels, by_window_row;  // of the depth: channels, columns times channels

  // Few registers, because a thread keeps several: offsets in 32 bits, and row and column share one.
  struct Outer {
    int offset, row_column;
  };
  struct Depth {
    int row, column, offset;
  };

  __device__ Outer outer(int index) const {
    const int place = pooled ? index % 4 : 0;
    int q = pooled ? index / 4 : index;
    const int n = by_image.split(q);
    int p = by_row.split(q);
    if (pooled) p = 2 * p + place / 2, q = 2 * q + place % 2;
    const int row = p * stride + top, column = q * stride + left;
    return {((n * height + row) * width + column) * channels, row * 65536 + (column & 65535)};
  }
  __device__ Depth depth(int k) const {
    const int row = by_window_row.split(k), column = by_channels.split(k);
    return {kDirection * row, kDirection * column, (kDirection * row * width + kDirection * column) * channels + k};
  }
  __device__ const T* at(const Outer& o, const Depth& d) const {
    const bool inside =
        static_cast<unsigned>((o.row_column >> 16) + d.row) < static_cast<unsigned>(height) &&
        static_cast<unsigned>(static_cast<int16_t>(o.row_column) + d.column) < static_cast<unsigned>(width);
    return inside ? image + (o.offset + d.offset) : nullptr;
  }
};

// The same with the roles exchanged: outer index = (r, s, c), depth = pixel.
template <class T, int kVector_>
struct PatchSource {
  using Element = T;
  static constexpr bool kDepthContiguous = false;
  static constexpr int kVector = kVector_;
  using Window = WindowSource<T, kVector_, 1>;

  Window window;
  int outer_size, depth_size;

  using Outer = typename Window::Depth;
  using Depth = typename Window::Outer;
  __device__ Outer outer(int index) const { return window.depth(index); }
  __device__ Depth depth(int k) const { return window.outer(k); }
  __device__ const T* at(const Outer& o, const Depth& d) const { return window.at(d, o); }
};

// The windows of x that forward and backward weights go over.
template <class T, int kVector>
WindowSource<T, kVector, 1> image_windows(const Conv2dParams& p, const T* x, bool pooled) {
  const int64_t rows = pooled ? p.y_h() : p.out_h(), columns = pooled ? p.y_w() : p.out_w();
  const int64_t channels = padded_channels<T>(p);
  return {.image = x,
          .outer_size = static_cast<int>(p.batch * rows * columns * (pooled ? 4 : 1)),
          .depth_size = static_cast<int>(p.kernel_h * p.kernel_w * channels),
          .height = static_cast<int>(p.in_h),
          .width = static_cast<int>(p.in_w),
          .channels = static_cast<int>(channels),
          .stride = static_cast<int>(p.stride),
          .top = -static_cast<int>(p.pad_top),
          .left = -static_cast<int>(p.pad_left),
          .pooled = pooled,
          .by_row = gpu::FastDivide(columns),
          .by_image = gpu::FastDivide(rows * columns),
          .by_channels = gpu::FastDivide(channels),
          .by_window_row = gpu::FastDivide(p.kernel_w * channels)};
}

// Pieces of a workspace, in elements of T, each aligned to 16 bytes.
template <class T>
struct ConvSpace {
  int64_t images = 0, weights = 0, floats = 0, doubles = 0;

  static int64_t round(int64_t n) { return gpu::ceil_divide<int64_t>(n, 16) * 16; }
  static constexpr int64_t kFloat = sizeof(float) / sizeof(T), kDouble = sizeof(double) / sizeof(T);

  T* images_in(T* workspace) const { return workspace; }
  T* weights_in(T* workspace) const { return workspace + round(images); }
  float* floats_in(T* workspace) const { return reinterpret_cast<float*>(weights_in(workspace) + round(weights)); }
  double* doubles_in(T* workspace) const {
    return reinterpret_cast<double*>(weights_in(workspace) + round(weights) + round(floats * kFloat));
  }
  int64_t size() const { return round(images) + round(weights) + round(floats * kFloat) + round(doubles * kDouble); }
};

// Of the passes: conv2d_forward.cu, conv2d_backward_data.cu, conv2d_backward_weights.cu.
template <class T>
ConvSpace<T> forward_space(const Conv2dParams& p);
template <class T>
ConvSpace<T> backward_data_space(const Conv2dParams& p);
template <class T>
ConvSpace<T> backward_weights_space(const Conv2dParams& p);

// x with padded_channels: x itself where that changes nothing, else a copy in `to`.
template <class T>
const T* pad_images(const Conv2dParams& p, const T* x, T* to, gpu::Stream stream);
template <class T>
int64_t padded_images_size(const Conv2dParams& p) {
  const int64_t channels = padded_channels<T>(p);
  return channels == p.in_c ? 0 : p.batch * p.in_h * p.in_w * channels;
}

// body(integral_constant<Math>, integral_constant<int> vector) for the way that products of these are made.
template <class T, class Body>
void with_math(bool tf32, bool vector, const Body& body) {
  const auto with = [&](auto math) {
    if (vector)
      body(math, std::integral_constant<int, kConvVector<T>>{});
    else
      body(math, std::integral_constant<int, 1>{});
  };
  if constexpr (std::is_same_v<T, bf16>) {
    with(std::integral_constant<gpu::Math, gpu::Math::bf16>{});
  } else if (tf32) {
    with(std::integral_constant<gpu::Math, gpu::Math::tf32>{});
  } else {
    with(std::integral_constant<gpu::Math, gpu::Math::fp32>{});
  }
}

// The plan of a product, whose math is a run-time choice.
template <class T>
gpu::GemmPlan plan_product(const Conv2dParams& p, int64_t m, int64_t n, int64_t k, bool vector, bool may_split = true) {
  if constexpr (std::is_same_v<T, bf16>) return gpu::plan_gemm<gpu::Math::bf16>(m, n, k, vector, may_split);
  return p.tf32 ? gpu::plan_gemm<gpu::Math::tf32>(m, n, k, vector, may_split)
                : gpu::plan_gemm<gpu::Math::fp32>(m, n, k, vector, may_split);
}

}  // namespace lookalike::cuda
