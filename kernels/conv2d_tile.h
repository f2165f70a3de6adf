// What the float convolution is made of, compiled once for each instruction set (conv2d_tile.cpp) and driven by
// conv2d_float_cpu.cpp. One register tile serves all passes: kTile broadcast values times two vectors of channels, or one where the channels fit in it.
//   forward         broadcast pixels of x, vectors of output channels, reduction over the window (r, s, c)
//   backward data   the same for each phase of the stride (conv2d_phases.h): the gradient in the place of x, the phase's
//                   weights turned by 180 degrees
//   backward weights  broadcast neighbouring (s, c) of x, vectors of output channels, reduction over pixels
// In NHWC the (s, c) of a window's row are one contiguous run, whatever the number of channels.
#pragma once

#include <cstdint>

namespace lookalike::cpu {

// A correlation without padding, stored in blocks of output channels. Also backward data, where "in" is the gradient.
struct Correlation {
  int64_t rows, columns;  // of outputs, before pooling; even when pooled
  int64_t in_row;         // floats from one input row to the next
  int64_t right, down;    // floats from the input of one output to that of the next in its row, in its column
  int64_t kernel_h, run;  // window: kernel_h rows of `run` contiguous floats
  int64_t out_c;
  int64_t out_right, out_down;  // floats from one output, after pooling, to the next in its row, in its column
  int64_t pool;                 // 1 or 2
  float slope;                  // of leaky ReLU: 0 is ReLU, 1 is none
  float limit;                  // the output is at most so much: 6 makes ReLU ReLU6
  const float* next = nullptr;  // packed weights of a block that comes after these, to be fetched on the way
};

// The gradient of one image before activation and pooling, made from that of its output.
struct OutputGradient {
  const float *dy, *y;    // [y_h, y_w, channels]; y is null without activation
  const uint8_t* argmax;  // null without pooling
  int64_t y_w, channels;
  float slope;
};

struct ConvTiles {
  int64_t block;  // output channels side by side in packed weights
  int64_t lanes;  // floats of a vector, half of a block

  // w[out_c, kernel_h, run] -> packed[block b][kernel_h * run][block], zero-filled behind out_c.
  void (*pack_weights)(const float* w, int64_t out_c, int64_t window, int64_t b, float* packed);
  // For backward data: the first `count` channels of one tap, w[out_c] at steps of filter -> packed[out_c][block],
  // zero-filled behind `count`.
  void (*pack_tap)(const float* w, int64_t out_c, int64_t filter, int64_t count, float* packed);
  // out_c channels of each output y, and of argmax, overwritten; bias padded to whole blocks; plus, like y without pooling or null, is
  // added before the activation; scratch of 2 * columns * block.
  void (*correlate)(const Correlation& c, const float* in, const float* packed, const float* bias, const float* plus,
                    float* scratch, float* y, uint8_t* argmax);
  // Whether so many channels are few: they go by the run of the window, not side by side.
  bool (*few)(int64_t channels, int64_t kernel_h, int64_t run);
  // Channels [first, first + count) of row p of the gradient: channel first + k of pixel q at out + q * pixel_step +
  // k / block * block_step + k % block.
  void (*gradient_row)(const OutputGradient& g, int64_t p, int64_t first, int64_t count, float* out, int64_t pixel_step,
                       int64_t block_step);
  // For each block of out_c channels: dw[kernel_h * run][block] += sum over rows and columns of in * dz, zero behind
  // out_c; dbias[block], or null, += the sum of dz, whose pixels lie c.out_right apart, row behind row, and its blocks
  // dz_block; whole vectors of it are read. scratch of rows * columns * 16.
  void (*weight_gradient)(const Correlation& c, const float* in, const float* dz, int64_t dz_block, float* scratch,
                          float* dw, float* dbias);
  // The same of few channels: dw[out_c][kernel_h * run] += and dbias[out_c], or null, +=; dz[rows, columns, out_c], its
  // pixels c.out_right apart.
  void (*weight_gradient_few)(const Correlation& c, const float* in, const float* dz, float* dw, float* dbias);
  // Elements [begin, end) of the windows dw[out_c, window] of block b: the sum, in order, of partials[g * group] to
  // be read as [window][block], for all groups g.
  void (*unpack_weights)(const float* partials, int64_t groups, int64_t group, int64_t out_c, int64_t window, int64_t b,
                         int64_t begin, int64_t end, float* dw);
};

// Of this processor.
const ConvTiles& conv_tiles();

namespace base {
extern const ConvTiles kConvTiles;
}
namespace avx2 {
extern const ConvTiles kConvTiles;
}
namespace avx512 {
extern const ConvTiles kConvTiles;
}

}  // namespace lookalike::cpu
