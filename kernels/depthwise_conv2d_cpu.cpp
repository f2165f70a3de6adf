// Plain loops for double: what gradient checks run on, and the oracle for the fast version (depthwise_conv2d_float_cpu.cpp).
#include <algorithm>

#include "kernels/depthwise_conv2d.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {
namespace {

// body(pixel of x, tap, pixel of y) for everything that meets in image n, in the order of y.
template <class Body>
void for_products(const DepthwiseConv2dParams& c, int64_t n, const Body& body) {
  for (int64_t p = 0; p < c.out_h(); p++)
    for (int64_t q = 0; q < c.out_w(); q++)
      for (int64_t r = 0; r < c.kernel_h; r++)
        for (int64_t s = 0; s < c.kernel_w; s++) {
          const int64_t h = p * c.stride + r - c.pad_top, w = q * c.stride + s - c.pad_left;
          if (h < 0 || h >= c.in_h || w < 0 || w >= c.in_w) continue;
          body((n * c.in_h + h) * c.in_w + w, r * c.kernel_w + s, (n * c.out_h() + p) * c.out_w() + q);
        }
}

template <class Body>
void for_images(int64_t images, const Body& body) {
  parallel_for(images, 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; n++) body(n);
  });
}

}  // namespace

template <>
int64_t depthwise_conv2d_workspace<double>(const DepthwiseConv2dParams&) {
  return 0;
}

template <>
void depthwise_conv2d_forward(const DepthwiseConv2dParams& c, const double* x, const double* w, const double* bias,
                              double* y) {
  const int64_t image = c.out_h() * c.out_w() * c.channels;
  for_images(c.batch, [&](int64_t n) {
    for (int64_t i = 0; i < image; i++) y[n * image + i] = bias ? bias[i % c.channels] : 0;
    for_products(c, n, [&](int64_t from, int64_t tap, int64_t to) {
      for (int64_t k = 0; k < c.channels; k++)
        y[to * c.channels + k] += x[from * c.channels + k] * w[tap * c.channels + k];
    });
  });
  activation_forward(c.activation, y, y, c.batch * image);
}

template <>
void depthwise_conv2d_backward_data(const DepthwiseConv2dParams& c, const double* dz, const double* w, double* dx) {
  const int64_t image = c.in_h * c.in_w * c.channels;
  for_images(c.batch, [&](int64_t n) {
    std::fill_n(dx + n * image, image, 0.0);
    for_products(c, n, [&](int64_t to, int64_t tap, int64_t from) {
      for (int64_t k = 0; k < c.channels; k++)
        dx[to * c.channels + k] += dz[from * c.channels + k] * w[tap * c.channels + k];
    });
  });
}

template <>
void depthwise_conv2d_backward_weights(const DepthwiseConv2dParams& c, const double* x, const double* dz, double* dw,
                                       double* dbias, double*) {
  std::fill_n(dw, c.taps() * c.channels, 0.0);
  if (dbias) std::fill_n(dbias, c.channels, 0.0);
  for (int64_t n = 0; n < c.batch; n++)
    for_products(c, n, [&](int64_t at, int64_t tap, int64_t out) {
      for (int64_t k = 0; k < c.channels; k++)
        dw[tap * c.channels + k] += x[at * c.channels + k] * dz[out * c.channels + k];
    });
  for (int64_t i = 0; dbias && i < c.batch * c.out_h() * c.out_w() * c.channels; i++) dbias[i % c.channels] += dz[i];
}

}  // namespace lookalike::cpu
