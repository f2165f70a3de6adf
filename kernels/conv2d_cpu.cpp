// Plain loops for double: what gradient checks run on, and the oracle for the fast version (conv2d_float_cpu.cpp).
#include <algorithm>
#include <vector>

#include "kernels/conv2d.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {
namespace {

// The window of x that output (p, q) sees, clipped to the image: rows r and columns s with their place in x.
template <class Body>
void for_window(const Conv2dParams& c, int64_t p, int64_t q, const Body& body) {
  for (int64_t r = 0; r < c.kernel_h; r++) {
    const int64_t h = p * c.stride + r - c.pad_top;
    if (h < 0 || h >= c.in_h) continue;
    for (int64_t s = 0; s < c.kernel_w; s++) {
      const int64_t w = q * c.stride + s - c.pad_left;
      if (w >= 0 && w < c.in_w) body(r * c.kernel_w + s, h * c.in_w + w);
    }
  }
}

// body(p, q, dz) for every output position of image n and channel k whose gradient before the activation is not zero.
template <class Body>
void for_gradient(const Conv2dParams& c, int64_t n, int64_t k, const double* dy, const double* y, const uint8_t* argmax,
                  const Body& body) {
  with_activation<double>(c.activation, [&](auto f) {
    for (int64_t p = 0; p < c.y_h(); p++) {
      for (int64_t q = 0; q < c.y_w(); q++) {
        const int64_t at = ((n * c.y_h() + p) * c.y_w() + q) * c.out_c + k;
        const double dz = dy[at] * f.backward(y[at]);
        if (c.pool == 1)
          body(p, q, dz);
        else
          body(2 * p + argmax[at] / 2, 2 * q + argmax[at] % 2, dz);
      }
    }
  });
}

// From one pixel of y, plus and argmax to the next it is y_step elements.
void forward(const Conv2dParams& c, const double* x, const double* packed, const double* plus, double* y,
             uint8_t* argmax, int64_t y_step) {
  const double *w = packed, *bias = packed + c.out_c * c.kernel_h * c.kernel_w * c.in_c;
  const auto value = [&](int64_t n, int64_t p, int64_t q, int64_t k) {
    double sum = bias[k];
    for_window(c, p, q, [&](int64_t tap, int64_t at) {
      const double* from = x + (n * c.in_h * c.in_w + at) * c.in_c;
      const double* with = w + (k * c.kernel_h * c.kernel_w + tap) * c.in_c;
      for (int64_t i = 0; i < c.in_c; i++) sum += from[i] * with[i];
    });
    return sum;
  };
  parallel_for(c.batch, 1, [&](int64_t begin, int64_t end) {
    with_activation<double>(c.activation, [&](auto f) {
      for (int64_t n = begin; n < end; n++)
        for (int64_t p = 0; p < c.y_h(); p++)
          for (int64_t q = 0; q < c.y_w(); q++)
            for (int64_t k = 0; k < c.out_c; k++) {
              const int64_t at = ((n * c.y_h() + p) * c.y_w() + q) * y_step + k;
              double best = value(n, c.pool * p, c.pool * q, k) + (plus ? plus[at] : 0);
              if (c.pool == 2) {
                argmax[at] = 0;
                for (int place = 1; place < 4; place++) {
                  const double other = value(n, 2 * p + place / 2, 2 * q + place % 2, k);
                  if (other > best) best = other, argmax[at] = static_cast<uint8_t>(place);
                }
              }
              y[at] = f.forward(best);
            }
    });
  });
}

}  // namespace

template <>
Conv2dWorkspace conv2d_workspace<double>(const Conv2dParams&) {
  return {};
}

template <>
int64_t conv2d_packed_size<double>(const Conv2dParams& c) {
  return c.out_c * (c.kernel_h * c.kernel_w * c.in_c + 1);
}

template <>
void conv2d_pack(const Conv2dParams& c, const double* w, const double* bias, double* packed) {
  const int64_t weights = c.out_c * c.kernel_h * c.kernel_w * c.in_c;
  std::copy_n(w, weights, packed);
  for (int64_t k = 0; k < c.out_c; k++) packed[weights + k] = bias ? bias[k] : 0;
}

template <>
void conv2d_forward_packed(const Conv2dParams& c, const double* x, const double* packed, const double* plus, double* y,
                           uint8_t* argmax, double*) {
  forward(c, x, packed, plus, y, argmax, c.out_c);
}

template <>
void conv2d_forward_side_by_side(const Conv2dParams& p, const double* p_packed, const Conv2dParams& q,
                                 const double* q_packed, const double* x, double* y, double*) {
  const int64_t y_step = p.out_c + q.out_c;
  forward(p, x, p_packed, nullptr, y, nullptr, y_step);
  forward(q, x, q_packed, nullptr, y + p.out_c, nullptr, y_step);
}

template <>
void conv2d_forward(const Conv2dParams& c, const double* x, const double* w, const double* bias, double* y,
                    uint8_t* argmax, double*) {
  std::vector<double> packed(conv2d_packed_size<double>(c));
  conv2d_pack(c, w, bias, packed.data());
  conv2d_forward_packed<double>(c, x, packed.data(), nullptr, y, argmax, nullptr);
}

template <>
void conv2d_backward_data(const Conv2dParams& c, const double* dy, const double* y, const uint8_t* argmax,
                          const double* w, double* dx, double*) {
  const int64_t image = c.in_h * c.in_w * c.in_c;
  parallel_for(c.batch, 1, [&](int64_t begin, int64_t end) {
    std::fill(dx + begin * image, dx + end * image, double(0));
    for (int64_t n = begin; n < end; n++)
      for (int64_t k = 0; k < c.out_c; k++)
        for_gradient(c, n, k, dy, y, argmax, [&](int64_t p, int64_t q, double dz) {
          for_window(c, p, q, [&](int64_t tap, int64_t at) {
            double* to = dx + n * image + at * c.in_c;
            const double* with = w + (k * c.kernel_h * c.kernel_w + tap) * c.in_c;
            for (int64_t i = 0; i < c.in_c; i++) to[i] += dz * with[i];
          });
        });
  });
}

template <>
void conv_transpose2d_forward(const Conv2dParams& c, const Activation& f, const double* z, const double* w,
                              const double* bias, double* x, double* workspace) {
  conv2d_backward_data<double>(c, z, z, nullptr, w, x, workspace);
  const int64_t n = c.batch * c.in_h * c.in_w * c.in_c;
  if (bias)
    for (int64_t i = 0; i < n; i++) x[i] += bias[i % c.in_c];
  activation_forward(f, x, x, n);
}

template <>
void conv2d_backward_weights(const Conv2dParams& c, const double* x, const double* dy, const double* y,
                             const uint8_t* argmax, double* dw, double* dbias, double*) {
  const int64_t filter = c.kernel_h * c.kernel_w * c.in_c;
  parallel_for(c.out_c, 1, [&](int64_t begin, int64_t end) {
    std::fill(dw + begin * filter, dw + end * filter, double(0));
    for (int64_t k = begin; k < end; k++) {
      double sum = 0;
      for (int64_t n = 0; n < c.batch; n++)
        for_gradient(c, n, k, dy, y, argmax, [&](int64_t p, int64_t q, double dz) {
          sum += dz;
          for_window(c, p, q, [&](int64_t tap, int64_t at) {
            double* to = dw + k * filter + tap * c.in_c;
            const double* from = x + (n * c.in_h * c.in_w + at) * c.in_c;
            for (int64_t i = 0; i < c.in_c; i++) to[i] += dz * from[i];
          });
        });
      if (dbias) dbias[k] = sum;
    }
  });
}

}  // namespace lookalike::cpu
