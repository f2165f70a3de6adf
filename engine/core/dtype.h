// Element types, and the step from a run-time type to a template argument.
#pragma once

#include <cstdint>
#include <type_traits>

#include "engine/core/error.h"
#include "kernels/bf16.h"
#include "kernels/f16.h"

namespace lookalike {

// bf16 is how the GPU stores activations under mixed precision, f16 how an index may keep its
// embeddings: nothing else computes with that.
enum class DType : uint8_t { f32, f64, bf16, f16, i64, i32, u8 };

constexpr int64_t size_of(DType type) {
  switch (type) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
    case DType::f16:
      return 2;
    case DType::u8:
      return 1;
  }
  return 0;
}

constexpr const char* name_of(DType type) {
  switch (type) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::bf16:
      return "bf16";
    case DType::f16:
      return "f16";
    case DType::i64:
      return "i64";
    case DType::i32:
      return "i32";
    case DType::u8:
      return "u8";
  }
  return "?";
}

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>)
    return DType::f32;
  else if constexpr (std::is_same_v<T, double>)
    return DType::f64;
  else if constexpr (std::is_same_v<T, bf16>)
    return DType::bf16;
  else if constexpr (std::is_same_v<T, f16>)
    return DType::f16;
  else if constexpr (std::is_same_v<T, int64_t>)
    return DType::i64;
  else if constexpr (std::is_same_v<T, int32_t>)
    return DType::i32;
  else {
    static_assert(std::is_same_v<T, uint8_t>, "no DType for this element type");
    return DType::u8;
  }
}

// The type of the weights that go with activations of `type`.
constexpr DType weight_type(DType type) {
  return type == DType::bf16 ? DType::f32 : type;
}

// Calls body(T{}) with T = float or double; anything else is an Error. Use: with_float(t.dtype(), [&](auto zero) {
// using T = decltype(zero); ... })
template <class Body>
decltype(auto) with_float(DType type, const Body& body) {
  if (type == DType::f64) return body(double{});
  check(type == DType::f32, "element type is {}, expected f32 or f64", name_of(type));
  return body(float{});
}

}  // namespace lookalike
