// How far a convolution's windows reach beyond its image.
#pragma once

#include <algorithm>
#include <cstdint>

namespace lookalike {

struct Padding {
  int64_t top = 0, left = 0, bottom = 0, right = 0;

  Padding() = default;
  explicit Padding(int64_t all) : top(all), left(all), bottom(all), right(all) {}
  // TensorFlow's "same": ceil(size / stride) outputs, an odd row or column of padding below or on the right.
  static Padding same(int64_t height, int64_t width, int64_t kernel_h, int64_t kernel_w, int64_t stride) {
    const auto total = [&](int64_t size, int64_t kernel) {
      return std::max<int64_t>(0, ((size + stride - 1) / stride - 1) * stride + kernel - size);
    };
    Padding result;
    result.top = total(height, kernel_h) / 2, result.bottom = total(height, kernel_h) - result.top;
    result.left = total(width, kernel_w) / 2, result.right = total(width, kernel_w) - result.left;
    return result;
  }
};

}  // namespace lookalike
