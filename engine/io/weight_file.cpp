#include "engine/io/weight_file.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace lookalike {

static_assert(std::endian::native == std::endian::little, "elements in weight files are little-endian");

float float_from_f16(uint16_t half) {
  return to_float(f16{half});
}

float float_from_bf16(uint16_t half) {
  return to_float(bf16{half});
}

Tensor tensor_from_file(const char* data, const Shape& shape, const FileType& type) {
  Tensor tensor(shape, type.dtype);
  if (!type.widen) {
    std::memcpy(tensor.raw(), data, tensor.bytes());
    return tensor;
  }
  float* out = tensor.data<float>();
  for (int64_t i = 0; i < tensor.size(); i++) {
    uint16_t half;
    std::memcpy(&half, data + 2 * i, sizeof half);
    out[i] = type.widen(half);
  }
  return tensor;
}

void TensorBudget::take(const Shape& shape, DType dtype, const std::string& where) {
  check(shape.size() <= left_ / size_of(dtype), "{}: shape {}: the tensors claim more than {} times the file's size",
        where, shape, +kMaxInflation);
  left_ -= std::max<int64_t>(shape.size() * size_of(dtype), kLeastTensor);
  check(left_ >= 0, "{}: too many tensors for a file of this size", where);
}

std::string show_name(const std::string& name) {
  std::string text = "'";
  for (unsigned char c : name.substr(0, 100)) text += c < 32 || c > 126 ? '?' : static_cast<char>(c);
  return text + (name.size() > 100 ? "...'" : "'");
}

}  // namespace lookalike
