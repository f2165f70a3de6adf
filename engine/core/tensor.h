// A dense row-major array: shared memory, a shape and an element type. Copies share the memory; clone() does not.
// data() of a tensor on the GPU is an address there; copy_from() and to() bring tensors across.
// Always contiguous: activations are NHWC, convolution weights KRSC (out, height, width, in), matrices row-major.
#pragma once

#include <span>
#include <vector>

#include "engine/core/device.h"
#include "engine/core/dtype.h"
#include "engine/core/shape.h"
#include "engine/core/storage.h"

namespace lookalike {

class Tensor {
 public:
  // No tensor at all: defined() is false. A scalar is Tensor(Shape{}).
  Tensor() = default;
  // Uninitialised elements.
  explicit Tensor(Shape shape, DType dtype = DType::f32, Device device = Device::cpu);

  static Tensor zeros(Shape shape, DType dtype = DType::f32, Device device = Device::cpu);
  template <class T>
  static Tensor from(Shape shape, std::span<const T> values);
  template <class T>
  static Tensor from(Shape shape, const std::vector<T>& values) {
    return from(shape, std::span<const T>(values));
  }

  bool defined() const { return memory_ != nullptr; }
  // Lets go of the elements; shape, type and device stay.
  void release() { memory_ = nullptr; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  int64_t size() const { return shape_.size(); }
  int64_t bytes() const { return shape_.size() * size_of(dtype_); }

  // The elements; Error when T is not the element type.
  template <class T>
  T* data() {
    check_type(dtype_of<T>());
    return reinterpret_cast<T*>(raw());
  }
  template <class T>
  const T* data() const {
    check_type(dtype_of<T>());
    return reinterpret_cast<const T*>(raw());
  }
  std::byte* raw() { return memory_.get() + offset_; }
  const std::byte* raw() const { return memory_.get() + offset_; }
  // Of a tensor on the CPU.
  template <class T>
  std::span<T> span() {
    check_on_cpu();
    return {data<T>(), static_cast<size_t>(size())};
  }
  template <class T>
  std::span<const T> span() const {
    check_on_cpu();
    return {data<T>(), static_cast<size_t>(size())};
  }
  // The only element of a one-element tensor of f32 or f64; waits for the GPU.
  double item() const;

  // The same elements in another shape of the same size.
  Tensor reshape(Shape shape) const;
  // Rows [begin, end) of the first axis, sharing memory.
  Tensor rows(int64_t begin, int64_t end) const;
  Tensor clone() const;
  // Another floating-point type; a copy also when the type stays. No f64 on the GPU.
  Tensor to(DType dtype) const;
  // On that device: this tensor itself where it is there already.
  Tensor to(Device device) const;
  // Copies the elements of a tensor of the same shape and type, on any device, into this one.
  void copy_from(const Tensor& source);
  void fill(double value);

 private:
  void check_type(DType asked) const;
  void check_on_cpu() const;

  std::shared_ptr<std::byte> memory_;
  int64_t offset_ = 0;  // bytes
  Shape shape_;
  DType dtype_ = DType::f32;
  Device device_ = Device::cpu;
};

// These rows of a tensor on the CPU, copied, in this order.
Tensor rows_of(const Tensor& tensor, std::span<const int64_t> rows);

// A network's input, float on the CPU, as `compute` wants it: on its device, as bf16 under mixed precision.
Tensor place_input(const Tensor& input, const Compute& compute);

template <class T>
Tensor Tensor::from(Shape shape, std::span<const T> values) {
  check(shape.size() == static_cast<int64_t>(values.size()), "{} values for a tensor of shape {}", values.size(),
        shape);
  Tensor result(shape, dtype_of<T>());
  std::copy(values.begin(), values.end(), result.data<T>());
  return result;
}

}  // namespace lookalike
