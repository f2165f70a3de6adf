// What the readers of weight files share: the element types in such files, and names from files in messages.
#pragma once

#include <cstddef>
#include <string>

#include "engine/core/tensor.h"

namespace lookalike {

// How elements lie in a file, little-endian, and the type of the tensor that they become.
struct FileType {
  int64_t size = 4;
  DType dtype = DType::f32;
  float (*widen)(uint16_t) = nullptr;  // of 16-bit floats

  bool operator==(const FileType&) const = default;
};

float float_from_f16(uint16_t half);
float float_from_bf16(uint16_t half);

inline constexpr FileType kF32{}, kF64{8, DType::f64}, kI64{8, DType::i64}, kI32{4, DType::i32}, kU8{1, DType::u8},
    kF16{2, DType::f32, float_from_f16}, kBF16{2, DType::f32, float_from_bf16};

// shape.size() elements at `data`, aligned or not.
Tensor tensor_from_file(const char* data, const Shape& shape, const FileType& type);

// What tensors may take in memory for each byte of their file: compressed, shared and repeated elements are allowed, bombs are not.
inline constexpr int64_t kMaxInflation = 16;

// What is left to the tensors of a file, kMaxInflation times its size at first, and 1 MiB for small
// ones. A tensor takes at least kLeastTensor bytes, whatever its size.
class TensorBudget {
 public:
  static constexpr int64_t kLeastTensor = 512, kSmall = 1 << 20;

  explicit TensorBudget(int64_t file_bytes) : left_(kMaxInflation * file_bytes + kSmall) {}
  // Error that begins with `where` when the tensor is more than what is left; else it is taken
  // away.
  void take(const Shape& shape, DType dtype, const std::string& where);

 private:
  int64_t left_;
};

// A name from a file, in quotes and fit for one line of a message.
std::string show_name(const std::string& name);

}  // namespace lookalike
