// Bound by memory: each source pixel is read about once from memory and up to four times from the cache, each output written
// once. A thread makes one pixel, all its channels.
#include "kernels/gpu/elementwise.h"
#include "kernels/image_batch.h"

namespace lookalike::cuda {
namespace {

template <class T, int kChannels>
struct MakePixel {
  ImageBatchParams p;
  const uint8_t* pixels;
  const ImageDraw* draws;
  T* out;

  __device__ void operator()(int64_t i) const {
    const int64_t image = i / (p.height * p.width), place = i % (p.height * p.width);
    const int row = static_cast<int>(place / p.width), column = static_cast<int>(place % p.width);
    const int height = static_cast<int>(p.height), width = static_cast<int>(p.width);
    const ImageDraw& draw = draws[image];
    const uint8_t* const from = pixels + image * p.height * p.width * kChannels;
    // One pixel further out than the image everything is white.
    const float x = fminf(fmaxf(draw.xx * column + (draw.xy * row + draw.x0), -1.0f), static_cast<float>(width));
    const float y = fminf(fmaxf(draw.yx * column + (draw.yy * row + draw.y0), -1.0f), static_cast<float>(height));
    const int left = static_cast<int>(floorf(x)), top = static_cast<int>(floorf(y));
    const float right_share = x - static_cast<float>(left), bottom_share = y - static_cast<float>(top);
    float value[kChannels] = {};
#pragma unroll
    for (int corner = 0; corner < 4; corner++) {
      const int h = top + corner / 2, w = left + corner % 2;
      const float weight =
          (corner / 2 ? bottom_share : 1 - bottom_share) * (corner % 2 ? right_share : 1 - right_share);
      const bool inside = h >= 0 && h < height && w >= 0 && w < width;
#pragma unroll
      for (int c = 0; c < kChannels; c++) {
        value[c] += weight * (inside ? static_cast<float>(from[(int64_t{h} * width + w) * kChannels + c]) : 255.0f);
      }
    }
#pragma unroll
    for (int c = 0; c < kChannels; c++) {
      float shown = value[0];
      if constexpr (kChannels == 3) {
        shown = draw.channel[c] == 0 ? value[0] : draw.channel[c] == 1 ? value[1] : value[2];
      }
      shown = fminf(shown * (1.0f / 255) * draw.gain[c], 1.0f);
      out[i * kChannels + c] = from_float<T>(shown * p.factor[c] + p.offset[c]);
    }
  }
};

}  // namespace

template <class T>
void image_batch(const ImageBatchParams& p, const uint8_t* pixels, const ImageDraw* draws, T* out, gpu::Stream stream) {
  const int64_t count = p.images * p.height * p.width;
  if (p.channels == 1)
    gpu::for_each("image_batch", count, stream, MakePixel<T, 1>{p, pixels, draws, out});
  else
    gpu::for_each("image_batch", count, stream, MakePixel<T, 3>{p, pixels, draws, out});
}

template void image_batch(const ImageBatchParams&, const uint8_t*, const ImageDraw*, float*, gpu::Stream);
template void image_batch(const ImageBatchParams&, const uint8_t*, const ImageDraw*, bf16*, gpu::Stream);

}  // namespace lookalike::cuda
