// One launch over many tensors: a table of them travels in the kernel's parameters, and each block takes one chunk of one.
#pragma once

#include <algorithm>
#include <span>

#include "kernels/gpu/kernel.h"

namespace lookalike::gpu {

constexpr int64_t kTableChunk = 4096;  // elements of a block

// `Tensor` is a struct with a `size`. Parameters may take 32,764 bytes.
template <class Tensor, int kCapacity>
struct TensorTable {
  Tensor tensors[kCapacity];
  int first_chunk[kCapacity + 1];  // of each tensor, and behind the last
  int count;
  int64_t chunks_before;  // in tables that went before

  // The tensor of a chunk.
  __device__ int find(int chunk) const {
    int low = 0, high = count;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      if (first_chunk[middle] <= chunk)
        low = middle;
      else
        high = middle;
    }
    return low;
  }
};

inline int64_t table_chunks(int64_t size) {
  return ceil_divide<int64_t>(size, kTableChunk);
}
template <class Tensor>
int64_t table_chunks(std::span<const Tensor> tensors) {
  int64_t chunks = 0;
  for (const Tensor& tensor : tensors) chunks += table_chunks(tensor.size);
  return chunks;
}

// body(table, chunks) for tables that hold all tensors that are not empty: one, unless there are more than 400.
template <class Tensor, class Body>
void for_tables(std::span<const Tensor> tensors, const Body& body) {
  const auto fill = [&]<int kCapacity>(std::integral_constant<int, kCapacity>) {
    TensorTable<Tensor, kCapacity> table{};
    const auto flush = [&] {
      if (table.count > 0) body(table, table.first_chunk[table.count]);
      table.chunks_before += table.first_chunk[table.count];
      table.count = 0;
    };
    for (const Tensor& tensor : tensors) {
      if (tensor.size == 0) continue;
      if (table.count == kCapacity) flush();
      table.tensors[table.count] = tensor;
      table.first_chunk[table.count + 1] = table.first_chunk[table.count] + static_cast<int>(table_chunks(tensor.size));
      table.count++;
    }
    flush();
  };
  if (tensors.size() <= 32)
    fill(std::integral_constant<int, 32>{});
  else
    fill(std::integral_constant<int, 400>{});
}

}  // namespace lookalike::gpu
