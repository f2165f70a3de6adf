// 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3) (conv2d_winograd_tile.h says how), in
// float. The same contracts as in conv2d.h; conv2d_float_cpu.cpp asks winograd_pays() and chooses.
#pragma once

#include "kernels/conv2d.h"
#include "kernels/conv2d_winograd_tile.h"

namespace lookalike::cpu {

enum class ConvPass { forward, backward_data, backward_weights };

// Whether this pass is to take Winograd: p.algorithm asks for it, or the measured table says that
// it is faster.
bool winograd_pays(const Conv2dParams& p, ConvPass pass);
// Whether packed weights hold Winograd's, too, which a forward pass may then ask for. Not those of
// so many channels that Winograd's, four times as many, would go to memory and back for each image:
// with these a packed forward takes the sum.
bool winograd_packs(const Conv2dParams& p);

// A pass from c to k channels over a whole batch: forward, or backward data with the gradient in
// the place of x.
struct WinogradPass {
  int64_t batch;
  WinogradSource source;
  WinogradTarget target;
  WinogradGrid grid;

  int64_t tiles() const { return batch * grid.rows * grid.columns; }
};
WinogradPass winograd_forward(const Conv2dParams& p, const float* x, const float* bias,
                              const float* plus, float* y, uint8_t* argmax, int64_t y_step);
WinogradPass winograd_backward_data(const Conv2dParams& p, const float* dy, const float* y,
                                    const uint8_t* argmax, const float* bias,
                                    const LeakyRelu<float>& f, float* dx);

// Floats of transformed weights, which winograd_pack() makes; `turned` as in WinogradTiles.
int64_t winograd_packed_size(int64_t c, int64_t k);
void winograd_pack(int64_t c, int64_t k, const float* w, bool turned, float* packed);

// A pass with packed weights as pieces of work, each a part of the output channels of a band of
// tiles.
class WinogradPieces {
 public:
  WinogradPieces(const WinogradPass& pass, const float* packed);
  int64_t count() const { return pass_.tiles() > 0 ? bands_ * parts_ : 0; }
  int64_t scratch() const;  // floats
  // scratch: of this thread.
  void operator()(int64_t i, float* scratch) const;

 private:
  WinogradPass pass_;
  const float* packed_;
  int64_t band_tiles_, bands_, blocks_, parts_;
};

// A pass with weights as they are.
int64_t winograd_workspace(const WinogradPass& pass);
void winograd_run(const WinogradPass& pass, const float* w, bool turned, float* workspace);

int64_t winograd_backward_weights_workspace(const Conv2dParams& p);
void winograd_backward_weights(const Conv2dParams& p, const float* x, const float* dy,
                               const float* y, const uint8_t* argmax, float* dw, float* dbias,
                               float* workspace);

}  // namespace lookalike::cpu
