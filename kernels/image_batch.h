// Images of 8 bits a value to the normalised batch that a network takes, augmented on the way: one affine warp with bilinear
// interpolation, white outside of the image, gains and an order of the channels, then (value / 255 - mean) / std. The CPU's
// side of it is engine/data/augment.cpp.
#pragma once

#include <cstdint>

#include "kernels/bf16.h"
#include "kernels/gpu/device.h"

namespace lookalike {

// What one image gets. The source position of an output pixel is x = xx * column + xy * row + x0, and y likewise; output
// channel c shows gain[c] times the image's channel[c], at most 1.
struct alignas(16) ImageDraw {
  float xx = 1, xy = 0, x0 = 0, yx = 0, yy = 1, y0 = 0;
  float gain[3] = {1, 1, 1};
  int32_t channel[3] = {0, 1, 2};
};

struct ImageBatchParams {
  int64_t images, height, width, channels;  // channels: 1 or 3
  float factor[3], offset[3];               // of normalisation: value * factor + offset
};

namespace cuda {

// pixels[images, height, width, channels], draws[images] -> out, shaped like pixels, overwritten; T is float or bf16. There are
// at most 2^31 - 2^16 values.
template <class T>
void image_batch(const ImageBatchParams& p, const uint8_t* pixels, const ImageDraw* draws, T* out, gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike
