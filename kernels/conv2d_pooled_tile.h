// Backward of a pooled convolution, which knows that most of its gradient is zero: of every four pixels under a pooling
// window one at most has a gradient, and where ReLU is off none has. The non-zero ones are gathered into lists, and each
// is worth one pass over its window: kernel_h * kernel_w * in_c multiply-adds, a quarter of the dense work or less.
// Compiled once for each instruction set (conv2d_pooled_tile.cpp), driven by conv2d_pooled_cpu.cpp.
#pragma once

#include <cstdint>

#include "kernels/conv2d_tile.h"

namespace lookalike::cpu {

// Lists of non-zero gradients before activation and pooling: list i has count[i] entries (at, value) from index
// i * capacity on. What `at` means depends on the list.
struct PooledLists {
  int32_t* at;
  float* value;
  int32_t* count;
  int64_t capacity;
};

struct PooledTiles {
  int64_t lanes;      // floats of a vector; capacity leaves so much room behind the entries
  int64_t most_taps;  // that scatter() can keep in registers

  // A list for each channel, of pooled rows [row, row + rows) of g: `at` is the offset of the pixel's window from that
  // of the first; right and down as in Correlation. dbias[k] += the sum.
  void (*gather_by_channel)(const OutputGradient& g, int64_t row, int64_t rows, int64_t right, int64_t down,
                            const PooledLists& lists, float* dbias);
  // dw[k][kernel_h][pitch] += sum over the list of k of value * in[at + window]; pitch is c.run rounded up to whole
  // vectors, and so much of `in` must be readable behind each run.
  void (*weight_gradient)(const Correlation& c, const float* in, const PooledLists& lists, float* dw);

  // A list for each pixel q of pooled row `row` of g and place in its window: list q * 4 + place, of channels
  // [first, first + count), with `at` = (k - first) * weights.
  void (*gather_by_place)(const OutputGradient& g, int64_t row, int64_t first, int64_t count, int64_t weights,
                          const PooledLists& lists);
  // For each of those lists dx[q * step + place_at[place] + tap_at[t]] += sum over the list of value *
  // packed[at + t * lanes], a vector of channels for each of the taps.
  void (*scatter)(int64_t taps, const PooledLists& lists, int64_t pixels, const float* packed, const int64_t* tap_at,
                  const int64_t* place_at, int64_t step, float* dx);
};

namespace base {
extern const PooledTiles kPooledTiles;
}
namespace avx2 {
extern const PooledTiles kPooledTiles;
}
namespace avx512 {
extern const PooledTiles kPooledTiles;
}

}  // namespace lookalike::cpu
