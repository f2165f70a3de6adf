// Bound by memory: each source pixel is read about once from memory and up to four times from the cache, each output written
// once. A thread makes one pixel, all its channels; the pixels of a block lie side by side and are stored from shared memory,
// 16 bytes at a time.
#include "kernels/gpu/elementwise.h"
#include "kernels/gpu/fast_divide.h"
#include "kernels/image_batch.h"

namespace lookalike::cuda {
namespace {

constexpr int kThreads = 256;

__device__ inline bool is_in(int i, int size) {
  return static_cast<unsigned>(i) < static_cast<unsigned>(size);
}

// One pixel further out than the image everything is white.
__device__ inline float near_image(float place, int size) {
  return fminf(fmaxf(place, -1.0f), static_cast<float>(size));
}

__device__ inline int nearest(int i, int size) {
  return min(max(i, 0), size - 1);
}

template <int kChannels>
struct Source {
  int height, width, image_size;
  gpu::FastDivide by_width, by_height;
  const uint8_t* pixels;
  const ImageDraw* draws;
  float factor[kChannels], offset[kChannels];

  __device__ void make(int pixel, float (&out)[kChannels]) const {
    int column = pixel, row = by_width.split(column);
    const int image = by_height.split(row);
    const ImageDraw draw = draws[image];
    const float column_f = static_cast<float>(column), row_f = static_cast<float>(row);
    const float x = near_image(draw.xx * column_f + (draw.xy * row_f + draw.x0), width);
    const float y = near_image(draw.yx * column_f + (draw.yy * row_f + draw.y0), height);
    const int left = static_cast<int>(floorf(x)), top = static_cast<int>(floorf(y));
    const float right_share = x - static_cast<float>(left), bottom_share = y - static_cast<float>(top);
    // The four pixels around; what is outside weighs nothing, and another pixel stands for it.
    const float across[2] = {is_in(left, width) ? 1 - right_share : 0, is_in(left + 1, width) ? right_share : 0};
    const float down[2] = {is_in(top, height) ? 1 - bottom_share : 0, is_in(top + 1, height) ? bottom_share : 0};
    const uint8_t* const from = pixels + int64_t{image} * image_size;
    float value[kChannels];
#pragma unroll
    for (int c = 0; c < kChannels; c++) value[c] = 255 - 255 * (across[0] + across[1]) * (down[0] + down[1]);
#pragma unroll
    for (int h = 0; h < 2; h++) {
#pragma unroll
      for (int w = 0; w < 2; w++) {
        const int row_in = nearest(top + h, height), column_in = nearest(left + w, width);
        const uint8_t* const at = from + static_cast<unsigned>((row_in * width + column_in) * kChannels);
        const float weight = down[h] * across[w];
#pragma unroll
        for (int c = 0; c < kChannels; c++) value[c] += weight * static_cast<float>(at[c]);
      }
    }
#pragma unroll
    for (int c = 0; c < kChannels; c++) {
      float shown = value[0];
      if constexpr (kChannels == 3) {
        shown = draw.channel[c] == 0 ? value[0] : draw.channel[c] == 1 ? value[1] : value[2];
      }
      out[c] = fminf(shown * (1.0f / 255) * draw.gain[c], 1.0f) * factor[c] + offset[c];
    }
  }
};

template <class T, int kChannels>
__global__ void __launch_bounds__(kThreads) image_batch_kernel(int count, Source<kChannels> source, bool wide, T* out) {
  constexpr int kRun = 16 / sizeof(T);
  using Run = gpu::Pack<T, kRun>;
  LOOKALIKE_SHARED(Run, runs, [kThreads * kChannels / kRun]);
  T* const made = reinterpret_cast<T*>(runs);
  const int thread = static_cast<int>(threadIdx.x), first = static_cast<int>(blockIdx.x) * kThreads;
  if (first + thread < count) {
    float values[kChannels];
    source.make(first + thread, values);
#pragma unroll
    for (int c = 0; c < kChannels; c++) made[thread * kChannels + c] = from_float<T>(values[c]);
  }
  __syncthreads();
  out += int64_t{first} * kChannels;
  if (wide && first + kThreads <= count) {
    if (thread < kThreads * kChannels / kRun) gpu::store(out + thread * kRun, runs[thread]);
  } else {
    for (int i = thread; i < min(kThreads, count - first) * kChannels; i += kThreads) out[i] = made[i];
  }
}

template <int kChannels, class T>
void run(const ImageBatchParams& p, const uint8_t* pixels, const ImageDraw* draws, T* out, gpu::Stream stream) {
  const int64_t count = p.images * p.height * p.width;
  const int height = static_cast<int>(p.height), width = static_cast<int>(p.width);
  Source<kChannels> source{height, width, height * width * kChannels, gpu::FastDivide(width), gpu::FastDivide(height),
                           pixels, draws};
  std::copy_n(p.factor, kChannels, source.factor), std::copy_n(p.offset, kChannels, source.offset);
  gpu::launch(
      {"image_batch", dim3(static_cast<unsigned>(gpu::ceil_divide<int64_t>(count, kThreads))), dim3(kThreads), stream},
      image_batch_kernel<T, kChannels>, count, source, gpu::aligned_to_16(out), out);
}

}  // namespace

template <class T>
void image_batch(const ImageBatchParams& p, const uint8_t* pixels, const ImageDraw* draws, T* out, gpu::Stream stream) {
  if (p.channels == 1)
    run<1>(p, pixels, draws, out, stream);
  else
    run<3>(p, pixels, draws, out, stream);
}

template void image_batch(const ImageBatchParams&, const uint8_t*, const ImageDraw*, float*, gpu::Stream);
template void image_batch(const ImageBatchParams&, const uint8_t*, const ImageDraw*, bf16*, gpu::Stream);

}  // namespace lookalike::cuda
