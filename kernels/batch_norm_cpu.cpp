// Work is cut into blocks of rows (a row is the channels of one position) whose size depends on the shapes alone, and
// each block into panels of at most kPanel channels, whose parameters are laid out once on the stack.
#include <algorithm>
#include <cmath>

#include "kernels/batch_norm.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {
namespace {

constexpr int64_t kPanel = 256;
constexpr int64_t kBlock = 65536;  // values of a block, about
constexpr int64_t kChunk = 64;     // rows whose sums are kept in T before they join the double ones

int64_t block_rows(int64_t channels) {
  return std::max<int64_t>(kBlock / std::max<int64_t>(channels, 1) / kChunk, 1) * kChunk;
}

int64_t view_blocks(const BatchNormParams& p) {
  const int64_t rows = block_rows(p.channels);
  return (p.view_rows() + rows - 1) / rows;
}

// body(view, block, begin, end) for each block of each view, [begin, end) counting the rows of all views.
template <class Body>
void for_blocks(int64_t views, int64_t view_rows, int64_t channels, const Body& body) {
  const int64_t step = block_rows(channels), blocks = (view_rows + step - 1) / step;
  parallel_for(views * blocks, 1, [&](int64_t first, int64_t last) {
    for (int64_t item = first; item < last; item++) {
      const int64_t view = item / blocks, block = item % blocks, begin = block * step;
      body(view, block, view * view_rows + begin, view * view_rows + std::min(begin + step, view_rows));
    }
  });
}

// What a panel of channels needs to turn x into z and, with `shift` and `slope`, dz into dx.
template <class T>
struct Panel {
  T mean[kPanel], scale[kPanel], beta[kPanel], shift[kPanel], slope[kPanel];
};

// Per-channel arrays of one view.
template <class T>
struct Channels {
  const T *mean, *variance, *gamma, *beta;
  double epsilon;

  Channels(const BatchNormParams& p, int64_t view, const T* all_means, const T* all_variances, const T* gamma_,
           const T* beta_)
      : mean(all_means + view * p.channels),
        variance(all_variances + view * p.channels),
        gamma(gamma_),
        beta(beta_),
        epsilon(p.epsilon) {}

  T deviation(int64_t c) const { return static_cast<T>(std::sqrt(static_cast<double>(variance[c]) + epsilon)); }

  void fill(Panel<T>& panel, int64_t c0, int64_t n) const {
    for (int64_t c = 0; c < n; c++) {
      panel.mean[c] = mean[c0 + c];
      panel.scale[c] = gamma[c0 + c] / deviation(c0 + c);
      panel.beta[c] = beta[c0 + c];
    }
  }
  // dx = scale (dz - shift) + slope (x - mean), what is subtracted coming through mean and variance; sums [2, C].
  void fill_backward(Panel<T>& panel, int64_t c0, int64_t n, const double* sums, int64_t channels, int64_t rows) const {
    fill(panel, c0, n);
    for (int64_t c = 0; c < n; c++) {
      const double variance_c = variance[c0 + c] + epsilon, count = static_cast<double>(rows);
      panel.shift[c] = sums ? static_cast<T>(sums[c0 + c] / count) : T(0);
      panel.slope[c] = sums ? static_cast<T>(-panel.scale[c] * sums[channels + c0 + c] / (count * variance_c)) : T(0);
    }
  }
};

// Running count, mean and sum of squared differences of one block, in double, fed with chunks of rows.
template <class T>
void block_statistics(const T* x, int64_t rows, int64_t channels, int64_t n, double* mean, double* squares) {
  T shift[kPanel], sum[kPanel], square[kPanel];
  // The first shift is the first chunk's own mean: a single row could be an outlier, such as a padded corner.
  for (int64_t c = 0; c < n; c++) mean[c] = squares[c] = 0;
  const int64_t first = std::min(kChunk, rows);
  for (int64_t r = 0; r < first; r++) {
    for (int64_t c = 0; c < n; c++) mean[c] += x[r * channels + c];
  }
  for (int64_t c = 0; c < n; c++) mean[c] /= static_cast<double>(first);
  for (int64_t begin = 0; begin < rows; begin += kChunk) {
    const int64_t end = std::min(begin + kChunk, rows);
    for (int64_t c = 0; c < n; c++) shift[c] = static_cast<T>(mean[c]), sum[c] = square[c] = 0;
    int64_t r = begin;
    for (; r + 4 <= end; r += 4) {
      const T *x0 = x + r * channels, *x1 = x0 + channels, *x2 = x1 + channels, *x3 = x2 + channels;
#pragma GCC ivdep
      for (int64_t c = 0; c < n; c++) {
        const T d0 = x0[c] - shift[c], d1 = x1[c] - shift[c], d2 = x2[c] - shift[c], d3 = x3[c] - shift[c];
        sum[c] += (d0 + d1) + (d2 + d3);
        square[c] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
      }
    }
    for (; r < end; r++) {
      for (int64_t c = 0; c < n; c++) {
        const T d = x[r * channels + c] - shift[c];
        sum[c] += d, square[c] += d * d;
      }
    }
    const double before = static_cast<double>(begin), added = static_cast<double>(end - begin);
    for (int64_t c = 0; c < n; c++) {
      const double s = sum[c], delta = shift[c] - mean[c] + s / added;
      squares[c] += square[c] - s * s / added + delta * delta * before * added / (before + added);
      mean[c] += delta * added / (before + added);
    }
  }
}

}  // namespace

int64_t batch_norm_workspace(const BatchNormParams& p) {
  return p.views * view_blocks(p) * 2 * p.channels;
}

template <class T>
void batch_norm_statistics(const BatchNormParams& p, const T* x, double* workspace, T* mean, T* variance) {
  const int64_t channels = p.channels, blocks = view_blocks(p), rows = p.view_rows();
  for_blocks(p.views, rows, channels, [&](int64_t view, int64_t block, int64_t begin, int64_t end) {
    double* partial = workspace + (view * blocks + block) * 2 * channels;
    simd([=] {
      for (int64_t c = 0; c < channels; c += kPanel) {
        block_statistics(x + begin * channels + c, end - begin, channels, std::min(kPanel, channels - c), partial + c,
                         partial + channels + c);
      }
    });
  });
  const int64_t step = block_rows(channels);
  for (int64_t view = 0; view < p.views; view++) {
    for (int64_t c = 0; c < channels; c++) {
      double total_mean = 0, squares = 0;
      for (int64_t block = 0; block < blocks; block++) {
        const double* partial = workspace + (view * blocks + block) * 2 * channels;
        const double before = static_cast<double>(block * step),
                     added = static_cast<double>(std::min(step, rows - block * step));
        const double delta = partial[c] - total_mean;
        squares += partial[channels + c] + delta * delta * before * added / (before + added);
        total_mean += delta * added / (before + added);
      }
      mean[view * channels + c] = static_cast<T>(total_mean);
      variance[view * channels + c] = static_cast<T>(rows ? std::max(squares / static_cast<double>(rows), 0.0) : 0.0);
    }
  }
}

template <class T>
void batch_norm_update_running(const BatchNormParams& p, const T* mean, const T* variance, double momentum,
                               T* running_mean, T* running_variance) {
  const double count = static_cast<double>(p.view_rows());
  if (count == 0) return;
  const T keep = static_cast<T>(1 - momentum), take = static_cast<T>(momentum);
  for (int64_t view = 0; view < p.views; view++) {
    for (int64_t c = 0; c < p.channels; c++) {
      const int64_t i = view * p.channels + c;
      running_mean[c] = keep * running_mean[c] + take * mean[i];
      if (count == 1) continue;
      running_variance[c] = keep * running_variance[c] + take * static_cast<T>(variance[i] * (count / (count - 1)));
    }
  }
}

namespace {

template <class T, class F>
void forward_plain(const BatchNormParams& p, const T* x, const T* mean, const T* variance, const T* gamma,
                   const T* beta, T* y, F f) {
  const int64_t channels = p.channels;
  for_blocks(p.views, p.view_rows(), channels, [&](int64_t view, int64_t, int64_t begin, int64_t end) {
    const Channels<T> parameters(p, view, mean, variance, gamma, beta);
    simd([=] {
      Panel<T> panel;
      for (int64_t c0 = 0; c0 < channels; c0 += kPanel) {
        const int64_t n = std::min(kPanel, channels - c0);
        parameters.fill(panel, c0, n);
        for (int64_t r = begin; r < end; r++) {
          const T* from = x + r * channels + c0;
          T* to = y + r * channels + c0;
#pragma GCC ivdep
          for (int64_t c = 0; c < n; c++) {
            to[c] = f.forward((from[c] - panel.mean[c]) * panel.scale[c] + panel.beta[c]);
          }
        }
      }
    });
  });
}

template <class T, class F>
void forward_pool(const BatchNormParams& p, const T* x, const T* mean, const T* variance, const T* gamma, const T* beta,
                  T* y, T* x_max, F f) {
  const int64_t channels = p.channels, row = p.width * channels, out_width = p.pooled_width();
  const int64_t out_height = p.pooled_height(), height = p.height, view_images = p.images / p.views;
  parallel_for(p.images, 1, [&](int64_t first, int64_t last) {
    for (int64_t image = first; image < last; image++) {
      const Channels<T> parameters(p, image / view_images, mean, variance, gamma, beta);
      simd([=] {
        Panel<T> panel;
        for (int64_t c0 = 0; c0 < channels; c0 += kPanel) {
          const int64_t n = std::min(kPanel, channels - c0);
          parameters.fill(panel, c0, n);
          for (int64_t o = 0; o < out_height * out_width; o++) {
            const int64_t h = o / out_width, w = o % out_width;
            const T *x00 = x + (image * height + 2 * h) * row + 2 * w * channels + c0, *x01 = x00 + channels;
            const T *x10 = x00 + row, *x11 = x10 + channels;
            const int64_t at = (image * out_height * out_width + o) * channels + c0;
            T *to = y + at, *winner = x_max + at;
#pragma GCC ivdep
            for (int64_t c = 0; c < n; c++) {
              const auto z = [&](T v) { return (v - panel.mean[c]) * panel.scale[c] + panel.beta[c]; };
              const T a = x00[c], b = x01[c], d = x10[c], e = x11[c];
              T best = a, top = z(a);
              best = z(b) > top ? b : best, top = z(b) > top ? z(b) : top;
              best = z(d) > top ? d : best, top = z(d) > top ? z(d) : top;
              best = z(e) > top ? e : best, top = z(e) > top ? z(e) : top;
              to[c] = f.forward(top);
              if (x_max) winner[c] = best;
            }
          }
        }
      });
    }
  });
}

}  // namespace

template <class T>
void batch_norm_forward(const BatchNormParams& p, const T* x, const T* mean, const T* variance, const T* gamma,
                        const T* beta, T* y, T* x_max) {
  with_activation<T>(p.activation, [&](auto f) {
    if (p.pool)
      forward_pool(p, x, mean, variance, gamma, beta, y, x_max, f);
    else
      forward_plain(p, x, mean, variance, gamma, beta, y, f);
  });
}

template <class T>
void batch_norm_reduce(const BatchNormParams& p, const T* x, const T* mean, const T* variance, const T* gamma,
                       const T* beta, const T* dy, double* workspace, double* sums, T* dgamma, T* dbeta) {
  const int64_t channels = p.channels, rows = p.images / p.views * p.pooled_height() * p.pooled_width();
  const int64_t step = block_rows(channels), blocks = (rows + step - 1) / step;
  with_activation<T>(p.activation, [&](auto f) {
    for_blocks(p.views, rows, channels, [&](int64_t view, int64_t block, int64_t begin, int64_t end) {
      const Channels<T> parameters(p, view, mean, variance, gamma, beta);
      double* partial = workspace + (view * blocks + block) * 2 * channels;
      simd([=] {
        Panel<T> panel;
        T sum[kPanel], product[kPanel];
        for (int64_t c0 = 0; c0 < channels; c0 += kPanel) {
          const int64_t n = std::min(kPanel, channels - c0);
          parameters.fill(panel, c0, n);
          double *total = partial + c0, *total_product = total + channels;
          for (int64_t c = 0; c < n; c++) total[c] = total_product[c] = 0;
          for (int64_t chunk = begin; chunk < end; chunk += kChunk) {
            for (int64_t c = 0; c < n; c++) sum[c] = product[c] = 0;
            for (int64_t r = chunk; r < std::min(chunk + kChunk, end); r++) {
              const T *from = x + r * channels + c0, *grad = dy + r * channels + c0;
#pragma GCC ivdep
              for (int64_t c = 0; c < n; c++) {
                const T centred = from[c] - panel.mean[c];
                const T dz = grad[c] * f.backward(f.forward(centred * panel.scale[c] + panel.beta[c]));
                sum[c] += dz, product[c] += dz * centred;
              }
            }
            for (int64_t c = 0; c < n; c++) total[c] += sum[c], total_product[c] += product[c];
          }
        }
      });
    });
  });
  for (int64_t c = 0; c < channels; c++) {
    double dgamma_c = 0, dbeta_c = 0;
    for (int64_t view = 0; view < p.views; view++) {
      double sum = 0, product = 0;
      for (int64_t block = 0; block < blocks; block++) {
        const double* partial = workspace + (view * blocks + block) * 2 * channels + c;
        sum += partial[0], product += partial[channels];
      }
      sums[view * 2 * channels + c] = sum, sums[(view * 2 + 1) * channels + c] = product;
      dbeta_c += sum, dgamma_c += product / Channels<T>(p, view, mean, variance, gamma, beta).deviation(c);
    }
    dgamma[c] = static_cast<T>(dgamma_c), dbeta[c] = static_cast<T>(dbeta_c);
  }
}

namespace {

template <class T, class F>
void backward_plain(const BatchNormParams& p, const T* x, const T* mean, const T* variance, const T* gamma,
                    const T* beta, const T* dy, const double* sums, T* dx, F f) {
  const int64_t channels = p.channels, rows = p.view_rows();
  for_blocks(p.views, rows, channels, [&](int64_t view, int64_t, int64_t begin, int64_t end) {
    const Channels<T> parameters(p, view, mean, variance, gamma, beta);
    const double* view_sums = sums ? sums + view * 2 * channels : nullptr;
    simd([=] {
      Panel<T> panel;
      for (int64_t c0 = 0; c0 < channels; c0 += kPanel) {
        const int64_t n = std::min(kPanel, channels - c0);
        parameters.fill_backward(panel, c0, n, view_sums, channels, rows);
        for (int64_t r = begin; r < end; r++) {
          const int64_t at = r * channels + c0;
          const T *from = x + at, *grad = dy + at;
          T* to = dx + at;
#pragma GCC ivdep
          for (int64_t c = 0; c < n; c++) {
            const T centred = from[c] - panel.mean[c];
            const T dz = grad[c] * f.backward(f.forward(centred * panel.scale[c] + panel.beta[c]));
            to[c] = panel.scale[c] * (dz - panel.shift[c]) + panel.slope[c] * centred;
          }
        }
      }
    });
  });
}

template <class T, class F>
void backward_pool(const BatchNormParams& p, const T* x, const T* x_max, const T* mean, const T* variance,
                   const T* gamma, const T* beta, const T* dy, const double* sums, T* dx, F f) {
  const int64_t channels = p.channels, width = p.width, height = p.height;
  const int64_t out_width = p.pooled_width(), out_height = p.pooled_height(), row = width * channels;
  const int64_t rows = p.view_rows(), view_images = p.images / p.views;
  parallel_for(p.images, 1, [&](int64_t first, int64_t last) {
    for (int64_t image = first; image < last; image++) {
      const int64_t view = image / view_images;
      const Channels<T> parameters(p, view, mean, variance, gamma, beta);
      const double* view_sums = sums ? sums + view * 2 * channels : nullptr;
      simd([=] {
        Panel<T> panel;
        for (int64_t c0 = 0; c0 < channels; c0 += kPanel) {
          const int64_t n = std::min(kPanel, channels - c0);
          parameters.fill_backward(panel, c0, n, view_sums, channels, rows);
          const T* image_x = x + image * height * row + c0;
          T* image_dx = dx + image * height * row + c0;
          for (int64_t o = 0; o < out_height * out_width; o++) {
            const int64_t at = 2 * (o / out_width) * row + 2 * (o % out_width) * channels;
            const int64_t out = (image * out_height * out_width + o) * channels + c0;
            const T *x00 = image_x + at, *x01 = x00 + channels, *x10 = x00 + row, *x11 = x10 + channels;
            T *dx00 = image_dx + at, *dx01 = dx00 + channels, *dx10 = dx00 + row, *dx11 = dx10 + channels;
            const T *winner = x_max + out, *grad = dy + out;
#pragma GCC ivdep
            for (int64_t c = 0; c < n; c++) {
              const T m = panel.mean[c], best = winner[c], slope = panel.slope[c];
              const T dz = grad[c] * f.backward(f.forward((best - m) * panel.scale[c] + panel.beta[c]));
              const T won = panel.scale[c] * (dz - panel.shift[c]), lost = panel.scale[c] * -panel.shift[c];
              const T a = x00[c], b = x01[c], d = x10[c], e = x11[c];
              // The first one equal to the winner takes the gradient.
              const bool is_a = a == best, is_b = !is_a & (b == best), is_d = !(is_a | is_b) & (d == best);
              dx00[c] = slope * (a - m) + (is_a ? won : lost);
              dx01[c] = slope * (b - m) + (is_b ? won : lost);
              dx10[c] = slope * (d - m) + (is_d ? won : lost);
              dx11[c] = slope * (e - m) + ((is_a | is_b | is_d) ? lost : won);
            }
          }
          // An odd last column or row is in no window, but still has its part in the statistics.
          for (int64_t h = 0; h < height; h++) {
            for (int64_t w = h < 2 * out_height ? 2 * out_width : 0; w < width; w++) {
              const int64_t at = h * row + w * channels;
#pragma GCC ivdep
              for (int64_t c = 0; c < n; c++) {
                image_dx[at + c] = panel.slope[c] * (image_x[at + c] - panel.mean[c]) - panel.scale[c] * panel.shift[c];
              }
            }
          }
        }
      });
    }
  });
}

}  // namespace

template <class T>
void batch_norm_backward(const BatchNormParams& p, const T* x, const T* x_max, const T* mean, const T* variance,
                         const T* gamma, const T* beta, const T* dy, const double* sums, T* dx) {
  with_activation<T>(p.activation, [&](auto f) {
    if (p.pool)
      backward_pool(p, x, x_max, mean, variance, gamma, beta, dy, sums, dx, f);
    else
      backward_plain(p, x, mean, variance, gamma, beta, dy, sums, dx, f);
  });
}

#define LOOKALIKE_INSTANTIATE(T)                                                                                      \
  template void batch_norm_statistics(const BatchNormParams&, const T*, double*, T*, T*);                             \
  template void batch_norm_update_running(const BatchNormParams&, const T*, const T*, double, T*, T*);                \
  template void batch_norm_forward(const BatchNormParams&, const T*, const T*, const T*, const T*, const T*, T*, T*); \
  template void batch_norm_reduce(const BatchNormParams&, const T*, const T*, const T*, const T*, const T*, const T*, \
                                  double*, double*, T*, T*);                                                          \
  template void batch_norm_backward(const BatchNormParams&, const T*, const T*, const T*, const T*, const T*,         \
                                    const T*, const T*, const double*, T*);
LOOKALIKE_INSTANTIATE(float)
LOOKALIKE_INSTANTIATE(double)
#undef LOOKALIKE_INSTANTIATE

}  // namespace lookalike::cpu
