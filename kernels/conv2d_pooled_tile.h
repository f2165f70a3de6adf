// Backward of a pooled convolution, which knows that most of its gradient is zero: of every four pixels under a pooling
// window one at most has a gradient, and where ReLU is off none has. The non-zero ones are gathered into lists, and each
// is worth one pass over its window: kernel_h * kernel_w * in_c multiply-adds, a quarter of the dense work or less.
// Compiled once for each instruction set (conv2d_pooled_tile.cpp), driven by conv2d_pooled_cpu.cpp.
#pragma once

#include <cstdint>

#include "kernels/conv2d_tile.h"

namespace lookalike::cpu {

// A non-zero gradient before activation and pooling; what `at` counts depends on the list.
struct PooledEntry {
  int32_t at;
  float value;
};

struct PooledTiles {
  int64_t lanes;      // floats of a vector
  int64_t most_taps;  // that scatter() can keep in registers

  // Of pooled rows [row, row + rows) of g, for every channel k: lists[k * rows * y_w ...] with `at` the offset of the
  // pixel's window from that of the first, counts[k], and dbias[k] += the sum. right and down as in Correlation.
  void (*gather_by_channel)(const OutputGradient& g, int64_t row, int64_t rows, int64_t right, int64_t down,
                            PooledEntry* lists, int32_t* counts, float* dbias);
  // dw[k][kernel_h][pitch] += sum over the list of k of value * in[at + window]; lists `capacity` apart; pitch is c.run
  // rounded up to whole vectors, and so much of `in` must be readable behind each run.
  void (*weight_gradient)(const Correlation& c, const float* in, const PooledEntry* lists, int64_t capacity,
                          const int32_t* counts, float* dw);

  // Of pooled row `row` of g and channels [first, first + count): for each pixel q and place in the pooling window
  // lists[(q * 4 + place) * count ...] with `at` = (k - first) * weights, and counts[q * 4 + place].
  void (*gather_by_place)(const OutputGradient& g, int64_t row, int64_t first, int64_t count, int64_t weights,
                          PooledEntry* lists, int32_t* counts);
  // Of each of `pixels` such quadruples of lists: dx[q * 2 * right + place + tap_at[t]] += sum over the list of value *
  // packed[at + t * lanes], a vector of channels for each of the taps; place_at[place] are offsets too.
  void (*scatter)(int64_t taps, const PooledEntry* lists, int64_t capacity, const int32_t* counts, int64_t pixels,
                  const float* packed, const int64_t* tap_at, const int64_t* place_at, int64_t step, float* dx);
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
