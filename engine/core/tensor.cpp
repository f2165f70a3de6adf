#include "engine/core/tensor.h"

#include <algorithm>
#include <cstring>

namespace lookalike {

Tensor::Tensor(Shape shape, DType dtype, Device device) : shape_(shape), dtype_(dtype), device_(device) {
  memory_ = arena_allocate(static_cast<size_t>(shape.size() * size_of(dtype)));
}

Tensor Tensor::zeros(Shape shape, DType dtype) {
  Tensor result(shape, dtype);
  std::memset(result.raw(), 0, result.bytes());
  return result;
}

double Tensor::item() const {
  check(size() == 1, "item() of a tensor of shape {}, expected one element", shape_.to_string());
  return with_float(dtype_, [&](auto zero) { return static_cast<double>(*data<decltype(zero)>()); });
}

Tensor Tensor::reshape(Shape shape) const {
  check(shape.size() == size(), "reshape of {} to {}: sizes differ", shape_.to_string(), shape.to_string());
  Tensor result = *this;
  result.shape_ = shape;
  return result;
}

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  check(0 <= begin && begin <= end && end <= shape_[0], "rows [{}, {}) of a tensor of shape {}", begin, end,
        shape_.to_string());
  Tensor result = *this;
  result.shape_ = shape_.with_rows(end - begin);
  result.offset_ += begin * shape_.row_size() * size_of(dtype_);
  return result;
}

Tensor Tensor::clone() const {
  Tensor result(shape_, dtype_, device_);
  std::memcpy(result.raw(), raw(), bytes());
  return result;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return clone();
  Tensor result(shape_, dtype, device_);
  with_float(dtype_, [&](auto from) {
    with_float(dtype, [&](auto to) {
      auto source = span<decltype(from)>();
      std::copy(source.begin(), source.end(), result.data<decltype(to)>());
    });
  });
  return result;
}

void Tensor::copy_from(const Tensor& source) {
  check(source.shape_ == shape_ && source.dtype_ == dtype_, "copy of {} {} into {} {}", name_of(source.dtype_),
        source.shape_.to_string(), name_of(dtype_), shape_.to_string());
  std::memcpy(raw(), source.raw(), bytes());
}

void Tensor::fill(double value) {
  with_float(dtype_, [&](auto zero) {
    using T = decltype(zero);
    std::fill_n(data<T>(), size(), static_cast<T>(value));
  });
}

void Tensor::check_type(DType asked) const {
  check(defined(), "use of an undefined tensor");
  check(asked == dtype_, "tensor of {} read as {}", name_of(dtype_), name_of(asked));
}

}  // namespace lookalike
