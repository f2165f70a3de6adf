// Operands copied into the layout that a step wants; the copies are part of the step's time.
#pragma once

#include "bench/ladders/conv/conv.h"
#include "kernels/gpu/elementwise.h"

namespace lookalike::ladder {

// w[k][r][s][c] -> [r][s][c][k].
struct TurnWeights {
  const float* w;
  float* to;
  int out_c, depth;
  __device__ void operator()(int64_t i) const { to[i] = w[i % out_c * depth + i / out_c]; }
};

inline Scratch<float> turned_weights(const Conv& v, const float* w, gpu::Stream stream) {
  const int64_t count = int64_t{v.out_c} * v.depth;
  Scratch<float> to = scratch<float>(count, stream);
  gpu::for_each("turn_weights", count, stream, TurnWeights{w, to.get(), v.out_c, v.depth});
  return to;
}

// [..][channels] -> [..][padded], with zeros.
struct PadChannels {
  const float* from;
  float* to;
  int channels, padded;
  __device__ void operator()(int64_t i) const {
    const int64_t c = i % padded;
    to[i] = c < channels ? from[i / padded * channels + c] : 0;
  }
};

// x and w with a multiple of 4 channels, so that 16-byte loads are aligned and belong to one tap.
struct Padded {
  Conv v;
  const float *x, *w;
  Scratch<float> x_copy, w_copy;  // where there were others
};

inline Padded padded_channels(const Task& t) {
  Sizes sizes = t.sizes;
  sizes[3] = gpu::ceil_divide(sizes[3], 4) * 4;
  Padded result{Conv(sizes), t.a, t.b, {}, {}};
  const Conv& v = result.v;
  const auto pad = [&](const float*& data, Scratch<float>& copy, int64_t count) {
    copy = scratch<float>(count, t.stream);
    gpu::for_each("pad_channels", count, t.stream, PadChannels{data, copy.get(), t.sizes[3], v.in_c});
    data = copy.get();
  };
  if (v.in_c != t.sizes[3]) {
    pad(result.x, result.x_copy, int64_t{v.batch} * v.in_h * v.in_w * v.in_c);
    pad(result.w, result.w_copy, int64_t{v.out_c} * v.depth);
  }
  return result;
}

}  // namespace lookalike::ladder
