// What the steps of the convolution ladder share: the sizes, and memory for the length of a call.
#pragma once

#include <memory>

#include "bench/ladders/ladder.h"

namespace lookalike::ladder {

// Square kernels, and as many zeros around the image as keep its size where the stride is 1. x, w and y have fewer than 2^31
// elements each, which the driver sees to, so that offsets are ints.
struct Conv {
  explicit Conv(const Sizes& s)
      : batch(s[0]), in_h(s[1]), in_w(s[2]), in_c(s[3]), out_c(s[4]), kernel(s[5]), stride(s[6]) {}

  int batch, in_h, in_w, in_c, out_c, kernel, stride;
  int pad = kernel / 2;
  int out_h = (in_h + 2 * pad - kernel) / stride + 1, out_w = (in_w + 2 * pad - kernel) / stride + 1;
  int pixels = batch * out_h * out_w;  // of y
  int depth = kernel * kernel * in_c;  // products of one element of y
};

template <class T>
struct Release {
  gpu::Stream stream;
  void operator()(T* data) const { gpu::release(data, stream); }
};
template <class T>
using Scratch = std::unique_ptr<T, Release<T>>;

template <class T>
Scratch<T> scratch(int64_t count, gpu::Stream stream) {
  return {static_cast<T*>(gpu::allocate(count * sizeof(T), stream)), Release<T>{stream}};
}

}  // namespace lookalike::ladder
