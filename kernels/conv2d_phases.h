// The phases of a convolution's stride. A pixel of the image meets only every stride-th tap in each direction, and pixels
// that are `stride` apart meet the same ones; so backward data falls apart into stride^2 convolutions of stride 1.
#pragma once

#include "kernels/conv2d.h"

namespace lookalike {

// The input pixels whose rows and columns meet the same taps.
struct Phase {
  int64_t row, column;     // its first pixel; then every stride-th
  int64_t rows, columns;   // how many
  int64_t tap_r, tap_s;    // its first taps; then every stride-th
  int64_t taps_r, taps_s;  // how many, maybe none
  int64_t top, left;       // its pixel (i, j) meets tap (a, b) in row top + i - a, column left + j - b of the output
};

// body(Phase) for each phase that has pixels.
template <class Body>
void for_phases(const Conv2dParams& p, const Body& body) {
  const auto remainder = [&](int64_t a) { return (a % p.stride + p.stride) % p.stride; };
  const auto count = [&](int64_t all, int64_t first) { return all > first ? (all - first - 1) / p.stride + 1 : 0; };
  for (int64_t r = 0; r < p.stride; r++) {
    for (int64_t s = 0; s < p.stride; s++) {
      Phase phase{.row = remainder(r - p.pad_top), .column = remainder(s - p.pad_left), .tap_r = r, .tap_s = s};
      phase.rows = count(p.in_h, phase.row), phase.columns = count(p.in_w, phase.column);
      phase.taps_r = count(p.kernel_h, r), phase.taps_s = count(p.kernel_w, s);
      phase.top = (phase.row + p.pad_top - r) / p.stride, phase.left = (phase.column + p.pad_left - s) / p.stride;
      if (phase.rows * phase.columns > 0) body(phase);
    }
  }
}

}  // namespace lookalike
