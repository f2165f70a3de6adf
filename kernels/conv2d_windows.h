// What the float convolution's drivers (conv2d_float_cpu.cpp, conv2d_pooled_cpu.cpp) share: bands of output rows, and the
// padded rows of the image that a band sees.
#pragma once

#include <algorithm>
#include <cstring>
#include <numeric>

#include <omp.h>

#include "kernels/conv2d.h"
#include "kernels/conv2d_tile.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {

constexpr int64_t kBandFloats = 32768;       // of a filled band: 128 KB
constexpr int64_t kBandPixels = 56;          // of a band at least, for each goes over all weights
constexpr int64_t kGroups = 32;              // of bands in backward weights, at most
constexpr int64_t kPartialFloats = 1 << 20;  // of all groups' sums together, about

inline int64_t round_up(int64_t n, int64_t step) {
  return (n + step - 1) / step * step;
}

// Where the bias lies that conv2d_pack() put behind the weights, zero-filled to whole blocks.
template <class Float>
Float* packed_bias(const Conv2dParams& p, Float* packed) {
  return packed + p.kernel_h * p.kernel_w * p.in_c * round_up(p.out_c, conv_tiles().block);
}

// The rows of an output, in bands of about the same height.
struct Bands {
  int64_t rows, count;

  // About `most` rows a band, a multiple of `step`. Of `images` the threads share out all bands: where that is few for each, all threads
  // get as many, if there are rows for it. 0: bands that follow from sizes alone.
  Bands(int64_t rows, int64_t most, int64_t step, int64_t images = 0)
      : rows(rows), step_(step), units_((rows + step - 1) / step) {
    count = std::max<int64_t>((rows + std::max(most, step) - 1) / std::max(most, step), 1);
    const int64_t threads = free_threads();
    if (images == 0 || images * count >= 4 * threads) return;
    const int64_t even = round_up(count, threads / std::gcd(threads, images));
    if (even <= units_) count = even;
  }
  int64_t height() const { return (units_ + count - 1) / count * step_; }
  int64_t begin(int64_t band) const { return std::min(units_ * band / count * step_, rows); }

 private:
  int64_t step_, units_;
};

// Rows of a band: what kBandFloats hold or kBandPixels ask for, but no more than give each thread a band, and where that leaves
// kBandPixels a few of them: a thread that is done with its own takes another.
inline int64_t band_rows(const Conv2dParams& p, int64_t rows, int64_t columns, int64_t row_floats, int64_t extra_rows) {
  const int64_t few = kBandPixels / columns, most = std::max(kBandFloats / row_floats - extra_rows, few);
  const auto share = [&](int64_t pieces) { return (p.batch * rows + pieces - 1) / pieces; };
  return std::min({most, share(free_threads()), std::max(share(4 * free_threads()), few)});
}

// A pointwise convolution sees no neighbours: rows shorter than a register tile are joined, and all images are one.
inline Conv2dParams joined(Conv2dParams p) {
  const bool pointwise = p.kernel_h * p.kernel_w == 1 && p.stride == 1 && p.pool == 1 &&
                         p.pad_top + p.pad_left + p.pad_bottom + p.pad_right == 0;
  if (pointwise && p.in_w < 14) p.in_w *= p.in_h, p.in_h = 1;
  if (pointwise) p.in_h *= p.batch, p.batch = 1;
  return p;
}

// Backward weights adds up `items` bands in this many groups, each with sums of its own.
inline int64_t weight_groups(int64_t items, int64_t group_floats) {
  return std::clamp<int64_t>(kPartialFloats / group_floats, 1, std::clamp<int64_t>(items, 1, kGroups));
}

// Where the windows of a band of outputs lie: in the image itself, or in a padded copy of it.
struct Windows {
  Conv2dParams p;
  int64_t rows, columns;  // outputs that count, before pooling
  bool padded;
  int64_t in_row;
  Bands bands;

  // most_rows 0: of a band as many as band_rows() says. copy: also where no padding asks for it.
  Windows(const Conv2dParams& p, int64_t most_rows, bool copy = false)
      : p(p),
        rows(p.pool * p.y_h()),
        columns(p.pool * p.y_w()),
        padded(copy || p.pad_top || p.pad_left || (rows - 1) * p.stride + p.kernel_h > p.in_h ||
               (columns - 1) * p.stride + p.kernel_w > p.in_w),
        in_row((padded ? (columns - 1) * p.stride + p.kernel_w : p.in_w) * p.in_c),
        bands(rows, most_rows ? most_rows : band_rows(p, rows, columns, p.stride * in_row, 0), p.pool,
              most_rows ? 0 : p.batch) {}

  int64_t scratch() const { return padded ? ((bands.height() - 1) * p.stride + p.kernel_h) * in_row : 0; }

  // The input of output row `row`, and of the `count` below it, of one image.
  const float* fill(const float* image, int64_t row, int64_t count, float* scratch) const {
    const int64_t first = row * p.stride - p.pad_top;
    if (!padded) return image + first * in_row;
    const int64_t left = std::min(p.pad_left * p.in_c, in_row);
    const int64_t filled = std::clamp<int64_t>(in_row - left, 0, p.in_w * p.in_c);
    for (int64_t i = 0; i < (count - 1) * p.stride + p.kernel_h; i++) {
      float* to = scratch + i * in_row;
      if (first + i < 0 || first + i >= p.in_h) {
        std::fill_n(to, in_row, 0.0f);
        continue;
      }
      std::fill_n(to, left, 0.0f);
      std::memcpy(to + left, image + (first + i) * p.in_w * p.in_c, static_cast<size_t>(filled) * sizeof(float));
      std::fill_n(to + left + filled, in_row - left - filled, 0.0f);
    }
    return scratch;
  }

  Correlation correlation(int64_t count) const {
    return {.rows = count,
            .columns = columns,
            .in_row = in_row,
            .right = p.stride * p.in_c,
            .down = p.stride * in_row,
            .kernel_h = p.kernel_h,
            .run = p.kernel_w * p.in_c,
            .out_c = p.out_c,
            .out_right = p.out_c,
            .out_down = p.y_w() * p.out_c,
            .pool = p.pool,
            .slope = leaky_relu_of<float>(p.activation).slope,
            .limit = leaky_relu_of<float>(p.activation).limit};
  }
};

inline OutputGradient gradient_of(const Conv2dParams& p, const float* dy, const float* y, const uint8_t* argmax,
                                  int64_t n) {
  const int64_t at = n * p.y_h() * p.y_w() * p.out_c;
  const float slope = leaky_relu_of<float>(p.activation).slope;
  return {dy + at, slope == 1 ? nullptr : y + at, argmax ? argmax + at : nullptr, p.y_w(), p.out_c, slope};
}

}  // namespace lookalike::cpu
