#include "engine/core/finite.h"

#include <algorithm>
#include <cmath>

namespace lookalike {

namespace {

template <class T>
int64_t first_row(const Tensor& tensor) {
  const auto values = tensor.span<T>();
  const auto bad = std::ranges::find_if(values, [](T value) { return !std::isfinite(value); });
  if (bad == values.end()) return -1;
  return (bad - values.begin()) / (tensor.shape().rank() > 0 ? std::ssize(values) / tensor.shape()[0] : 1);
}

}  // namespace

int64_t first_row_not_finite(const Tensor& tensor) {
  return tensor.dtype() == DType::f32   ? first_row<float>(tensor)
         : tensor.dtype() == DType::f64 ? first_row<double>(tensor)
                                        : -1;
}

double least_value(const Tensor& tensor) {
  return with_float(tensor.dtype(), [&](auto zero) {
    const auto values = tensor.span<decltype(zero)>();
    return values.empty() ? std::numeric_limits<double>::infinity()
                          : double{*std::ranges::min_element(values)};
  });
}

}  // namespace lookalike
