// The ladder of the forward convolution, NHWC images and KRSC weights: a = x[n,h,w,c], b = w[k,r,s,c], c = y[n,p,q,k]. No size is
// a multiple of anything.
#include "bench/ladders/conv/conv.h"

namespace lookalike::ladder {
namespace {

double element(const Sizes& s, const float* x, const float* w, int64_t index) {
  const Conv v(s);
  const int64_t k = index % v.out_c, pixel = index / v.out_c;
  const int64_t q = pixel % v.out_w, p = pixel / v.out_w % v.out_h, n = pixel / v.out_w / v.out_h;
  double sum = 0;
  for (int64_t r = 0; r < v.kernel; r++) {
    for (int64_t s = 0; s < v.kernel; s++) {
      const int64_t row = p * v.stride + r - v.pad, column = q * v.stride + s - v.pad;
      if (row < 0 || row >= v.in_h || column < 0 || column >= v.in_w) continue;
      for (int64_t c = 0; c < v.in_c; c++) {
        sum += double{x[((n * v.in_h + row) * v.in_w + column) * v.in_c + c]} *
               w[((k * v.kernel + r) * v.kernel + s) * v.in_c + c];
      }
    }
  }
  return sum;
}

int64_t outputs(const Sizes& s) {
  const Conv v(s);
  return int64_t{v.batch} * v.out_h * v.out_w * v.out_c;
}

[[maybe_unused]] const bool registered = add_ladder({
    .name = "conv",
    .formula = "y[n,p,q,k] = sum of x[n, p stride + r - kernel/2, q stride + s - kernel/2, c] w[k,r,s,c]",
    .size_names = {"n", "h", "w", "c", "k", "kernel", "stride"},
    .verified = {{1, 11, 13, 33, 70, 3, 1},
                 {2, 7, 9, 5, 33, 3, 1},
                 {3, 9, 7, 3, 17, 5, 2},
                 {1, 5, 3, 1, 2, 1, 1},
                 {1, 6, 9, 8, 24, 2, 1},
                 {1, 3, 3, 1, 5, 7, 2}},
    .timed = {64, 28, 28, 128, 128, 3, 1},  // of ResNet50
    .count_a = [](const Sizes& s) { return int64_t{s[0]} * s[1] * s[2] * s[3]; },
    .count_b = [](const Sizes& s) { return int64_t{s[4]} * s[5] * s[5] * s[3]; },
    .count_c = outputs,
    .flops = [](const Sizes& s) { return 2.0 * outputs(s) * s[5] * s[5] * s[3]; },
    .reference = element,
});

}  // namespace
}  // namespace lookalike::ladder
