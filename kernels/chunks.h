// Loops over the elements of many tensors at once: small ones share a thread, large ones are shared out.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/parallel.h"

namespace lookalike::cpu {

// Elements of a chunk, the unit that threads take; a chunk never spans two tensors.
constexpr int64_t kChunkSize = 16384;

// `tensors`: a range of structs with a `size`.
template <class Tensors>
int64_t count_chunks(const Tensors& tensors) {
  int64_t chunks = 0;
  for (const auto& tensor : tensors) chunks += (tensor.size + kChunkSize - 1) / kChunkSize;
  return chunks;
}

// body(tensor, chunk, begin, end) for each chunk, [begin, end) within its tensor; chunks count on from tensor to
// tensor.
template <class Tensors, class Body>
void for_chunks(const Tensors& tensors, const Body& body) {
  parallel_for(count_chunks(tensors), 1, [&](int64_t first, int64_t last) {
    int64_t chunk = 0;
    for (const auto& tensor : tensors) {
      for (int64_t begin = 0; begin < tensor.size; begin += kChunkSize, chunk++) {
        if (chunk >= first && chunk < last) {
          body(tensor, chunk, begin, std::min(begin + kChunkSize, tensor.size));
        }
      }
    }
  });
}

}  // namespace lookalike::cpu
