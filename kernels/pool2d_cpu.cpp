#include <algorithm>
#include <type_traits>

#include "kernels/parallel.h"
#include "kernels/pool2d.h"

namespace lookalike::cpu {
namespace {

// Images, or rows of them, a thread should have at least, so that it has about 16384 values.
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

struct Window {
  int64_t corner;                    // flat input position of its first element, which may be padding
  int64_t top, left, bottom, right;  // rows [top, bottom) and columns [left, right) of it lie in the image
};

// body(out, window) for each window of row i of an image, with its flat output position.
template <class Body>
void for_windows(const Pool2dParams& p, int64_t image, int64_t i, const Body& body) {
  const int64_t out_height = p.out_height(), out_width = p.out_width(), row = i * p.stride - p.padding;
  for (int64_t j = 0; j < out_width; j++) {
    const int64_t column = j * p.stride - p.padding;
    const Window window{.corner = (image * p.height + row) * p.width + column,
                        .top = std::max<int64_t>(-row, 0),
                        .left = std::max<int64_t>(-column, 0),
                        .bottom = std::min(p.size, p.height - row),
                        .right = std::min(p.size, p.width - column)};
    body((image * out_height + i) * out_width + j, window);
  }
}
template <class Body>
void for_windows(const Pool2dParams& p, int64_t image, const Body& body) {
  for (int64_t i = 0; i < p.out_height(); i++) for_windows(p, image, i, body);
}

// body(k, at) for each element of the window that lies in the image: its number and its flat input position.
template <class Body>
void for_elements(const Pool2dParams& p, const Window& window, const Body& body) {
  for (int64_t h = window.top; h < window.bottom; h++) {
    for (int64_t w = window.left; w < window.right; w++) body(h * p.size + w, window.corner + h * p.width + w);
  }
}

// The maximum alone: the channels, some at a time, stay in registers.
template <class T>
void max_of_window(const Pool2dParams& p, const Window& window, const T* x, T* y) {
  constexpr int64_t kSome = 256 / sizeof(T);
  const T* first = x + (window.corner + window.top * p.width + window.left) * p.channels;
  for (int64_t c = 0; c < p.channels; c += kSome) {
    const int64_t count = std::min(kSome, p.channels - c);
    const auto maximum = [&](auto some) {
      T best[kSome];
      for (int64_t k = 0; k < some; k++) best[k] = first[c + k];
      for_elements(p, window, [&](int64_t, int64_t at) {
        const T* from = x + at * p.channels + c;
        for (int64_t k = 0; k < some; k++) best[k] = from[k] > best[k] ? from[k] : best[k];
      });
      for (int64_t k = 0; k < some; k++) y[c + k] = best[k];
    };
    if (count == kSome)
      maximum(std::integral_constant<int64_t, kSome>());
    else
      maximum(count);
  }
}

}  // namespace

template <class T>
void max_pool2d_forward(const Pool2dParams& p, const T* x, T* y, uint8_t* argmax) {
  const int64_t channels = p.channels, rows = p.out_height();
  for_images(p.images * rows, p.stride * p.width * channels, [=](int64_t row) {
    for_windows(p, row / rows, row % rows, [=](int64_t out, const Window& window) {
      T* to = y + out * channels;
      if (!argmax) return max_of_window(p, window, x, to);
      uint8_t* index = argmax + out * channels;
      const int64_t first = window.top * p.size + window.left;
      for_elements(p, window, [=](int64_t k, int64_t at) {
        const T* from = x + at * channels;
        const uint8_t mine = static_cast<uint8_t>(k);
#pragma GCC ivdep
        for (int64_t c = 0; c < channels; c++) {
          const bool wins = k == first || from[c] > to[c];
          index[c] = wins ? mine : index[c];
          to[c] = wins ? from[c] : to[c];
        }
      });
    });
  });
}

template <class T>
void max_pool2d_backward(const Pool2dParams& p, const T* dy, const uint8_t* argmax, T* dx) {
  const int64_t channels = p.channels, image_size = p.height * p.width * channels;
  const bool overlap = p.stride < p.size;
  for_images(p.images, image_size, [=](int64_t image) {
    if (overlap || !p.covers()) std::fill_n(dx + image * image_size, image_size, T(0));
    for_windows(p, image, [=](int64_t out, const Window& window) {
      const T* grad = dy + out * channels;
      const uint8_t* index = argmax + out * channels;
      for_elements(p, window, [=](int64_t k, int64_t at) {
        T* to = dx + at * channels;
        const uint8_t mine = static_cast<uint8_t>(k);
#pragma GCC ivdep
        for (int64_t c = 0; c < channels; c++) {
          const T mine_only = index[c] == mine ? grad[c] : T(0);
          to[c] = overlap ? to[c] + mine_only : mine_only;
        }
      });
    });
  });
}

template <class T>
void avg_pool2d_forward(const Pool2dParams& p, const T* x, T* y) {
  const int64_t channels = p.channels;
  const T factor = T(1) / static_cast<T>(p.size * p.size);
  for_images(p.images, p.height * p.width * channels, [=](int64_t image) {
    for_windows(p, image, [=](int64_t out, const Window& window) {
      T* to = y + out * channels;
      std::fill_n(to, channels, T(0));
      for_elements(p, window, [=](int64_t, int64_t at) {
        const T* from = x + at * channels;
#pragma GCC ivdep
        for (int64_t c = 0; c < channels; c++) to[c] += from[c];
      });
      for (int64_t c = 0; c < channels; c++) to[c] *= factor;
    });
  });
}

template <class T>
void avg_pool2d_backward(const Pool2dParams& p, const T* dy, T* dx) {
  const int64_t channels = p.channels, image_size = p.height * p.width * channels;
  const T factor = T(1) / static_cast<T>(p.size * p.size);
  for_images(p.images, image_size, [=](int64_t image) {
    std::fill_n(dx + image * image_size, image_size, T(0));
    for_windows(p, image, [=](int64_t out, const Window& window) {
      const T* grad = dy + out * channels;
      for_elements(p, window, [=](int64_t, int64_t at) {
        T* to = dx + at * channels;
#pragma GCC ivdep
        for (int64_t c = 0; c < channels; c++) to[c] += factor * grad[c];
      });
    });
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
      const int32_t *index = argmax + image * channels, mine = static_cast<int32_t>(at);
#pragma GCC ivdep
      for (int64_t c = 0; c < channels; c++) to[c] = index[c] == mine ? grad[c] : T(0);
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
