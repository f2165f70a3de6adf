#include <algorithm>

#include "kernels/parallel.h"
#include "kernels/pool2d.h"

namespace lookalike::cpu {
namespace {

// Images a thread should have at least, so that it has about 16384 values.
int64_t image_grain(int64_t image_size) {
  return std::max<int64_t>(16384 / std::max<int64_t>(image_size, 1), 1);
}

// body(image) for each image, its loops vectorised.
template <class Body>
void for_images(int64_t images, int64_t image_size, const Body& body) {
  parallel_for(images, image_grain(image_size), [&](int64_t begin, int64_t end) {
    simd([=] {
      for (int64_t image = begin; image < end; image++) body(image);
    });
  });
}

// dx of each input position by gathering: add(out, k, to) adds to `to` what the window at flat output position `out`
// gives to its element k. Every dx is written once, whatever the overlap, in a fixed order.
template <class T, class Add>
void gather_windows(const Pool2dParams& p, T* dx, const Add& add) {
  for_images(p.images, p.height * p.width * p.channels, [=](int64_t image) {
    const int64_t out_height = p.out_height(), out_width = p.out_width();
    for (int64_t h = 0; h < p.height; h++) {
      const int64_t i_end = std::min(h / p.stride + 1, out_height);
      const int64_t i_begin = h < p.size ? 0 : (h - p.size) / p.stride + 1;
      for (int64_t w = 0; w < p.width; w++) {
        const int64_t j_end = std::min(w / p.stride + 1, out_width);
        const int64_t j_begin = w < p.size ? 0 : (w - p.size) / p.stride + 1;
        T* to = dx + ((image * p.height + h) * p.width + w) * p.channels;
        std::fill_n(to, p.channels, T(0));
        for (int64_t i = i_begin; i < i_end; i++) {
          for (int64_t j = j_begin; j < j_end; j++) {
            add((image * out_height + i) * out_width + j, (h - i * p.stride) * p.size + w - j * p.stride, to);
          }
        }
      }
    }
  });
}

// body(out, corner) for each window: the flat output position and that of the window's first element.
template <class Body>
void for_windows(const Pool2dParams& p, const Body& body) {
  for_images(p.images, p.height * p.width * p.channels, [=](int64_t image) {
    const int64_t out_height = p.out_height(), out_width = p.out_width();
    for (int64_t i = 0; i < out_height; i++) {
      for (int64_t j = 0; j < out_width; j++) {
        body((image * out_height + i) * out_width + j, (image * p.height + i * p.stride) * p.width + j * p.stride);
      }
    }
  });
}

}  // namespace

template <class T>
void max_pool2d_forward(const Pool2dParams& p, const T* x, T* y, uint8_t* argmax) {
  const int64_t channels = p.channels;
  for_windows(p, [=](int64_t out, int64_t corner) {
    T* to = y + out * channels;
    uint8_t* index = argmax ? argmax + out * channels : nullptr;
    std::copy_n(x + corner * channels, channels, to);
    if (index) std::fill_n(index, channels, uint8_t{0});
    for (int64_t k = 1; k < p.size * p.size; k++) {
      const T* from = x + (corner + k / p.size * p.width + k % p.size) * channels;
#pragma GCC ivdep
      for (int64_t c = 0; c < channels; c++) {
        if (index) index[c] = from[c] > to[c] ? static_cast<uint8_t>(k) : index[c];
        to[c] = from[c] > to[c] ? from[c] : to[c];
      }
    }
  });
}

template <class T>
void max_pool2d_backward(const Pool2dParams& p, const T* dy, const uint8_t* argmax, T* dx) {
  const int64_t channels = p.channels;
  gather_windows(p, dx, [=](int64_t out, int64_t k, T* to) {
    const T* grad = dy + out * channels;
    const uint8_t* index = argmax + out * channels;
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; c++) to[c] += index[c] == k ? grad[c] : T(0);
  });
}

template <class T>
void avg_pool2d_forward(const Pool2dParams& p, const T* x, T* y) {
  const int64_t channels = p.channels;
  const T factor = T(1) / static_cast<T>(p.size * p.size);
  for_windows(p, [=](int64_t out, int64_t corner) {
    T* to = y + out * channels;
    std::fill_n(to, channels, T(0));
    for (int64_t k = 0; k < p.size * p.size; k++) {
      const T* from = x + (corner + k / p.size * p.width + k % p.size) * channels;
#pragma GCC ivdep
      for (int64_t c = 0; c < channels; c++) to[c] += from[c];
    }
    for (int64_t c = 0; c < channels; c++) to[c] *= factor;
  });
}

template <class T>
void avg_pool2d_backward(const Pool2dParams& p, const T* dy, T* dx) {
  const int64_t channels = p.channels;
  const T factor = T(1) / static_cast<T>(p.size * p.size);
  gather_windows(p, dx, [=](int64_t out, int64_t, T* to) {
    const T* grad = dy + out * channels;
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; c++) to[c] += factor * grad[c];
  });
}

template <class T>
void global_max_pool_forward(int64_t images, int64_t positions, int64_t channels, const T* x, T* y, int32_t* argmax) {
  for_images(images, positions * channels, [=](int64_t image) {
    T* to = y + image * channels;
    int32_t* index = argmax + image * channels;
    std::copy_n(x + image * positions * channels, channels, to);
    std::fill_n(index, channels, 0);
    for (int64_t at = 1; at < positions; at++) {
      const T* from = x + (image * positions + at) * channels;
#pragma GCC ivdep
      for (int64_t c = 0; c < channels; c++) {
        index[c] = from[c] > to[c] ? static_cast<int32_t>(at) : index[c];
        to[c] = from[c] > to[c] ? from[c] : to[c];
      }
    }
  });
}

template <class T>
void global_max_pool_backward(int64_t images, int64_t positions, int64_t channels, const T* dy, const int32_t* argmax,
                              T* dx) {
  for_images(images, positions * channels, [=](int64_t image) {
    for (int64_t at = 0; at < positions; at++) {
      T* to = dx + (image * positions + at) * channels;
      const T* grad = dy + image * channels;
      const int32_t* index = argmax + image * channels;
#pragma GCC ivdep
      for (int64_t c = 0; c < channels; c++) to[c] = index[c] == at ? grad[c] : T(0);
    }
  });
}

template <class T>
void global_avg_pool_forward(int64_t images, int64_t positions, int64_t channels, const T* x, T* y) {
  for_images(images, positions * channels, [=](int64_t image) {
    T* to = y + image * channels;
    std::fill_n(to, channels, T(0));
    for (int64_t at = 0; at < positions; at++) {
      const T* from = x + (image * positions + at) * channels;
#pragma GCC ivdep
      for (int64_t c = 0; c < channels; c++) to[c] += from[c];
    }
    for (int64_t c = 0; c < channels; c++) to[c] /= static_cast<T>(positions);
  });
}

template <class T>
void global_avg_pool_backward(int64_t images, int64_t positions, int64_t channels, const T* dy, T* dx) {
  for_images(images, positions * channels, [=](int64_t image) {
    const T* grad = dy + image * channels;
    for (int64_t at = 0; at < positions; at++) {
      T* to = dx + (image * positions + at) * channels;
#pragma GCC ivdep
      for (int64_t c = 0; c < channels; c++) to[c] = grad[c] / static_cast<T>(positions);
    }
  });
}

#define LOOKALIKE_INSTANTIATE(T)                                                                   \
  template void max_pool2d_forward(const Pool2dParams&, const T*, T*, uint8_t*);                   \
  template void max_pool2d_backward(const Pool2dParams&, const T*, const uint8_t*, T*);            \
  template void avg_pool2d_forward(const Pool2dParams&, const T*, T*);                             \
  template void avg_pool2d_backward(const Pool2dParams&, const T*, T*);                            \
  template void global_max_pool_forward(int64_t, int64_t, int64_t, const T*, T*, int32_t*);        \
  template void global_max_pool_backward(int64_t, int64_t, int64_t, const T*, const int32_t*, T*); \
  template void global_avg_pool_forward(int64_t, int64_t, int64_t, const T*, T*);                  \
  template void global_avg_pool_backward(int64_t, int64_t, int64_t, const T*, T*);
LOOKALIKE_INSTANTIATE(float)
LOOKALIKE_INSTANTIATE(double)
#undef LOOKALIKE_INSTANTIATE

}  // namespace lookalike::cpu
