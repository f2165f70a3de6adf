#include "engine/core/tensor.h"

#include <algorithm>
#include <cstring>

#include "engine/core/dispatch.h"
#include "kernels/cast.h"
#include "kernels/fill.h"
#include "kernels/gpu/device.h"

namespace lookalike {

namespace {

constexpr int64_t kMostElements = int64_t{1} << 56;  // whose bytes fit an int64_t

void copy_bytes(std::byte* to, Device to_device, const std::byte* from, Device from_device, int64_t bytes) {
  if (to_device == Device::meta) return;
  check(from_device != Device::meta, "a copy of a tensor without elements");
  if (to_device == Device::cpu && from_device == Device::cpu) {
    std::memcpy(to, from, bytes);
    return;
  }
  if constexpr (gpu::kBuilt) {
    const auto copy = from_device == Device::cpu ? gpu::copy_to_device
                      : to_device == Device::cpu ? gpu::copy_to_host
                                                 : gpu::copy_on_device;
    copy(to, from, bytes, gpu::compute_stream());
  }
}

template <class Body>
void with_storage(DType type, const Body& body) {
  if (type == DType::bf16) return body(bf16{});
  with_float(type, body);
}

template <class To, class From>
To convert(From x) {
  if constexpr (std::is_same_v<From, bf16>)
    return convert<To>(to_float(x));
  else if constexpr (std::is_same_v<To, bf16>)
    return to_bf16(static_cast<float>(x));
  else
    return static_cast<To>(x);
}

}  // namespace

Tensor::Tensor(Shape shape, DType dtype, Device device) : shape_(shape), dtype_(dtype), device_(device) {
  check(shape.size() <= kMostElements, "a tensor of shape {}, which no memory holds", shape);
  memory_ = arena_allocate(
      device == Device::meta ? 0 : static_cast<size_t>(shape.size() * size_of(dtype)), device);
}

Tensor Tensor::zeros(Shape shape, DType dtype, Device device) {
  Tensor result(shape, dtype, device);
  if (device == Device::meta) return result;
  if constexpr (gpu::kBuilt) {
    if (device == Device::cuda) {
      gpu::fill_bytes(result.raw(), 0, result.bytes(), gpu::compute_stream());
      return result;
    }
  }
  std::memset(result.raw(), 0, result.bytes());
  return result;
}

double Tensor::item() const {
  check(size() == 1, "item() of a tensor of shape {}, expected one element", shape_);
  const Tensor here = to(Device::cpu);
  return with_float(dtype_, [&](auto zero) { return static_cast<double>(*here.data<decltype(zero)>()); });
}

Tensor Tensor::reshape(Shape shape) const {
  check(shape.size() == size(), "reshape of {} to {}: sizes differ", shape_, shape);
  Tensor result = *this;
  result.shape_ = shape;
  return result;
}

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  check(0 <= begin && begin <= end && end <= shape_[0], "rows [{}, {}) of a tensor of shape {}", begin, end, shape_);
  Tensor result = *this;
  result.shape_ = shape_.with_rows(end - begin);
  result.offset_ += begin * shape_.row_size() * size_of(dtype_);
  return result;
}

Tensor Tensor::clone() const {
  Tensor result(shape_, dtype_, device_);
  copy_bytes(result.raw(), device_, raw(), device_, bytes());
  return result;
}

Tensor Tensor::to(Device device) const {
  if (device == device_) return *this;
  Tensor result(shape_, dtype_, device);
  copy_bytes(result.raw(), device, raw(), device_, bytes());
  return result;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return clone();
  Tensor result(shape_, dtype, device_);
  if (device_ == Device::meta) return result;
  if (device_ == Device::cuda) {
    check((dtype == DType::f32 || dtype == DType::bf16) && (dtype_ == DType::f32 || dtype_ == DType::bf16),
          "conversion of {} to {} on the GPU, expected f32 and bf16", name_of(dtype_), name_of(dtype));
    if constexpr (gpu::kBuilt) {
      if (dtype == DType::bf16)
        cuda::cast(data<float>(), result.data<bf16>(), size(), gpu::compute_stream());
      else
        cuda::cast(data<bf16>(), result.data<float>(), size(), gpu::compute_stream());
    }
    return result;
  }
  with_storage(dtype_, [&](auto from) {
    with_storage(dtype, [&](auto to) {
      auto source = span<decltype(from)>();
      std::transform(source.begin(), source.end(), result.data<decltype(to)>(), convert<decltype(to), decltype(from)>);
    });
  });
  return result;
}

void Tensor::copy_from(const Tensor& source) {
  check(source.shape_ == shape_ && source.dtype_ == dtype_, "copy of {} {} into {} {}", name_of(source.dtype_),
        source.shape_, name_of(dtype_), shape_);
  copy_bytes(raw(), device_, source.raw(), source.device_, bytes());
}

void Tensor::fill(double value) {
  if (device_ == Device::meta) return;
  if constexpr (gpu::kBuilt) {
    if (device_ == Device::cuda) {
      LOOKALIKE_ON_GPU(*this, { on::fill(data<T>(), value, size(), stream...); });
      return;
    }
  }
  with_float(dtype_, [&](auto zero) {
    using T = decltype(zero);
    std::fill_n(data<T>(), size(), static_cast<T>(value));
  });
}

Tensor rows_of(const Tensor& tensor, std::span<const int64_t> rows) {
  Tensor result(tensor.shape().with_rows(std::ssize(rows)), tensor.dtype());
  for (int64_t i = 0; i < std::ssize(rows); i++) result.rows(i, i + 1).copy_from(tensor.rows(rows[i], rows[i] + 1));
  return result;
}

Tensor place_input(const Tensor& input, const Compute& compute) {
  const Tensor there = input.to(compute.device);
  return compute.precision == Precision::bf16 ? there.to(DType::bf16) : there;
}

void Tensor::check_type(DType asked) const {
  check(defined(), "use of an undefined tensor");
  check(asked == dtype_, "tensor of {} read as {}", name_of(dtype_), name_of(asked));
}

void Tensor::check_on_cpu() const {
  check(device_ == Device::cpu, "the elements of a tensor on {} are read on the CPU",
        name_of(device_));
}

}  // namespace lookalike
