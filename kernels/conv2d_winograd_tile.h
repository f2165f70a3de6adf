// Winograd convolution F(4x4, 3x3), compiled once for each instruction set
// (conv2d_winograd_tile.cpp) and driven by conv2d_winograd_cpu.cpp. A tile of 4x4 outputs y comes
// from 6x6 inputs d, in 36 products where the sum itself takes 144:
//   y = A^T ((G g G^T) * (B^T d B)) A
// with the evaluation points 0, infinity, +-sqrt(1/2) and +-sqrt(2), whose rounding errors are half
// of those of 0, infinity, +-1 and +-2. Each of the 36 elements of the product is called a
// frequency. Backward data is the same with turned weights; backward weights is the exact adjoint:
//   dw = G^T (sum over tiles of (A dy A^T) * (B^T d B)) G
// Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015; the points: Alam et
// al., "Winograd Convolution for Deep Neural Networks: Efficient Point Selection", 2022.
//
// Transformed tiles lie as [tile][frequency][channels], padded between tiles; transformed weights
// as [block of output channels][frequency][input channels][block], padded between frequencies:
// steps of powers of two would fall on the same few sets of the caches.
#pragma once

#include <cstdint>
#include <limits>

namespace lookalike::cpu {

constexpr int64_t kWinogradOut = 4, kWinogradIn = 6, kFrequencies = kWinogradIn * kWinogradIn;

// Images that a transform reads: x[batch, h, w, c]. Where it is a gradient that the activation has
// not been undone of, y is the activation's output, and with argmax all three are those of 2x2 max
// pooling, [batch, h / 2, w / 2, c].
struct WinogradSource {
  const float* x;
  int64_t h, w, c;
  const float* y = nullptr;
  const uint8_t* argmax = nullptr;
  float slope = 1;  // of leaky ReLU
};

// Where the outputs of tiles go: y[batch, h, w, k] at `step` floats from one pixel to the next, or
// with pooling y[batch, h / 2, w / 2, k] and argmax.
struct WinogradTarget {
  float* y;
  int64_t h, w, k, step;
  const float* bias = nullptr;  // padded to whole blocks
  const float* plus = nullptr;  // like y, or null: added before the activation
  uint8_t* argmax = nullptr;    // null without pooling
  float slope = 1,
        limit = std::numeric_limits<float>::infinity();  // of leaky ReLU, as in Correlation
};

// Tiles of a whole batch, numbered image by image and row by row. What a tile reads begins `top`
// pixels above and `left` to the left of its outputs.
struct WinogradGrid {
  int64_t rows, columns;  // of tiles, of one image
  int64_t top, left;
};

// Floats from one transformed tile of so many channels to the next.
constexpr int64_t winograd_tile_step(int64_t channels) {
  return kFrequencies * channels + 16;
}

struct WinogradTiles {
  int64_t block, lanes;
  int64_t at_once;  // tiles that one product takes at most

  // Weights of the block of output channels that begins with k0, input channels [c0, c1), of those
  // that a pass has: c inputs and k outputs. `turned`, for backward data: w[c][3][3][k], turned by
  // 180 degrees, else w[k][3][3][c]. -> u[frequency][c1 - c0][block] at steps of u_step, zero
  // behind k. c0 is a multiple of `lanes`.
  void (*transform_weights)(const float* w, int64_t c, int64_t k, bool turned, int64_t k0,
                            int64_t c0, int64_t c1, float* u, int64_t u_step);
  // B^T d B of tiles [first, first + count), channels [c0, c1) -> v[tile][frequency][c1 - c0], at
  // steps of v_step between tiles and `channels` between frequencies, in whole vectors: zeros
  // behind c1.
  void (*transform_inputs)(const WinogradSource& source, const WinogradGrid& grid, int64_t first,
                           int64_t count, int64_t c0, int64_t c1, float* v, int64_t v_step,
                           int64_t channels);
  // A dy A^T of the 4x4 pixels of each tile, in the same way; their sums are added to bias[c1 -
  // c0], in whole vectors, unless it is null.
  void (*transform_gradients)(const WinogradSource& source, const WinogradGrid& grid, int64_t first,
                              int64_t count, int64_t c0, int64_t c1, float* d, int64_t d_step,
                              int64_t channels, float* bias);
  // For each frequency m[tile][frequency][block] (+)= v[tile][frequency][depth]
  // u[frequency][depth][block].
  void (*multiply)(int64_t count, const float* v, int64_t v_step, int64_t channels, int64_t depth,
                   const float* u, int64_t u_step, bool add, float* m, int64_t m_step);
  // For each frequency du[frequency][rows][block], at steps of du_step, (+)= sum over tiles of
  // v[tile][frequency][rows] d[tile][frequency][block].
  void (*multiply_gradients)(int64_t count, const float* v, int64_t v_step, int64_t v_channels,
                             int64_t rows, const float* d, int64_t d_step, int64_t d_channels,
                             bool add, float* du, int64_t du_step);
  // The outputs of tiles in the block of channels that begins with k0, from
  // m[tile][frequency][block].
  void (*transform_outputs)(const WinogradTarget& target, const WinogradGrid& grid, int64_t first,
                            int64_t count, int64_t k0, const float* m, int64_t m_step);
  // dw[k][3][3][c], in the block of outputs that begins with k0 and inputs [c0, c1), (+)= G^T (the
  // sum, in order, of du + g * group for all groups g) G, where du[frequency][c1 - c0][block].
  void (*finish_weights)(const float* du, int64_t du_step, int64_t groups, int64_t group, int64_t c,
                         int64_t k, int64_t k0, int64_t c0, int64_t c1, bool add, float* dw);
};

namespace base {
extern const WinogradTiles kWinogradTiles;
}
namespace avx2 {
extern const WinogradTiles kWinogradTiles;
}
namespace avx512 {
extern const WinogradTiles kWinogradTiles;
}

}  // namespace lookalike::cpu
