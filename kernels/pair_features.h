// What a classifier of pairs sees of two embeddings, row by row: of a[n, d] and b[n, d]
//   difference  |a - b|            [n, d]
//   both        |a - b|, then a b  [n, 2 d]
// The gradient of |a - b| at a = b is 0.
#pragma once

#include <cstdint>

#include "kernels/gpu/device.h"

namespace lookalike {

enum class PairFeatures : uint8_t { difference, both };

namespace cpu {

// y overwritten.
template <class T>
void pair_features_forward(PairFeatures kind, const T* a, const T* b, int64_t n, int64_t d, T* y);
// da[n, d], db[n, d] overwritten.
template <class T>
void pair_features_backward(PairFeatures kind, const T* a, const T* b, const T* dy, int64_t n, int64_t d, T* da, T* db);

}  // namespace cpu

// The same for T = float and bf16; y has at most 2^31 - 2^16 elements.
namespace cuda {

template <class T>
void pair_features_forward(PairFeatures kind, const T* a, const T* b, int64_t n, int64_t d, T* y, gpu::Stream stream);
template <class T>
void pair_features_backward(PairFeatures kind, const T* a, const T* b, const T* dy, int64_t n, int64_t d, T* da, T* db,
                            gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
