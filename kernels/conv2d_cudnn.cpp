#include "kernels/conv2d_cudnn.h"

#include <type_traits>

#include "kernels/batch_norm.h"
#include "kernels/cast.h"
#include "kernels/gpu/cudnn.h"
#include "kernels/pool2d.h"

namespace lookalike::cudnn {
namespace {

template <class T>
constexpr bool kBf16 = std::is_same_v<T, bf16>;

int64_t weights_of(const Conv2dParams& p) {
  return p.out_c * p.kernel_h * p.kernel_w * p.in_c;
}

BatchNormParams norm_params(const Conv2dParams& p, int64_t views) {
  return {.views = views, .images = p.batch, .height = p.out_h(), .width = p.out_w(), .channels = p.out_c};
}

// A workspace: cuDNN's own, weights or their gradient in bf16, and forward's z or sums, each aligned to 256 bytes.
template <class T>
class Space {
 public:
  Space(Pass pass, const Conv2dParams& p)
      : own_(round(workspace_bytes(pass, p, kBf16<T>))), weights_(kBf16<T> ? round(weights_of(p) * sizeof(T)) : 0) {
    if (pass != Pass::forward) return;
    // Views are at most as many as images, and each may have a part of a block more.
    const int64_t sums = cuda::batch_norm_workspace(norm_params(p, 1)) + 2 * p.out_c * p.batch;
    last_ = round(p.pool == 2 ? p.batch * p.out_h() * p.out_w() * p.out_c * sizeof(T) : sums * sizeof(double));
  }
  int64_t size() const { return (own_ + weights_ + last_) / sizeof(T); }
  T* weights_in(T* workspace) const { return workspace + own_ / sizeof(T); }
  T* z_in(T* workspace) const { return workspace + (own_ + weights_) / sizeof(T); }
  double* sums_in(T* workspace) const { return reinterpret_cast<double*>(z_in(workspace)); }

 private:
  static int64_t round(int64_t bytes) { return (bytes + 255) / 256 * 256; }

  int64_t own_, weights_, last_ = 0;  // bytes
};

// w as cuDNN multiplies it with a T.
template <class T>
const T* operand(const Conv2dParams& p, const float* w, T* copy, gpu::Stream stream) {
  if constexpr (kBf16<T>) {
    cuda::cast(w, copy, weights_of(p), stream);
    return copy;
  } else {
    return w;
  }
}

}  // namespace

template <class T>
Conv2dWorkspace conv2d_workspace(const Conv2dParams& p) {
  return {Space<T>(Pass::forward, p).size(), Space<T>(Pass::backward_data, p).size(),
          Space<T>(Pass::backward_weights, p).size()};
}

template <class T>
void conv2d_forward(const Conv2dParams& p, const T* x, const float* w, const float* bias, T* y, uint8_t* argmax,
                    const cuda::OutputStatistics& statistics, T* workspace, gpu::Stream stream) {
  const Space<T> space(Pass::forward, p);
  const T* const weights = operand(p, w, space.weights_in(workspace), stream);
  T* const z = p.pool == 2 ? space.z_in(workspace) : y;
  multiply(Pass::forward, p, kBf16<T>, x, weights, z, workspace, stream);
  const int64_t pixels = p.batch * p.out_h() * p.out_w();
  if (bias != nullptr) {
    cuda::bias_activation_forward<T>(p.activation, z, bias, z, pixels, p.out_c, stream);
  } else if (p.activation.kind != ActivationKind::none) {
    cuda::activation_forward<T>(p.activation, z, z, pixels * p.out_c, stream);
  }
  if (p.pool == 2) {
    const Pool2dParams windows{p.batch, p.out_h(), p.out_w(), p.out_c, 2, 2};
    cuda::max_pool2d_forward<T>(windows, z, y, argmax, stream);
  }
  if (statistics.views > 0) {
    cuda::batch_norm_statistics<T>(norm_params(p, statistics.views), y, space.sums_in(workspace), statistics.mean,
                                   statistics.variance, stream);
  }
}

template <class T>
void conv2d_backward_data(const Conv2dParams& p, const T* dz, const float* w, T* dx, T* workspace, gpu::Stream stream) {
  const Space<T> space(Pass::backward_data, p);
  const T* const weights = operand(p, w, space.weights_in(workspace), stream);
  multiply(Pass::backward_data, p, kBf16<T>, weights, dz, dx, workspace, stream);
}

template <class T>
void conv2d_backward_weights(const Conv2dParams& p, const T* x, const T* dz, float* dw, T* workspace,
                             gpu::Stream stream) {
  if constexpr (kBf16<T>) {
    T* const rounded = Space<T>(Pass::backward_weights, p).weights_in(workspace);
    multiply(Pass::backward_weights, p, true, x, dz, rounded, workspace, stream);
    cuda::cast(rounded, dw, weights_of(p), stream);
  } else {
    multiply(Pass::backward_weights, p, false, x, dz, dw, workspace, stream);
  }
}

#define INSTANTIATE(T)                                                                                  \
  template Conv2dWorkspace conv2d_workspace<T>(const Conv2dParams&);                                    \
  template void conv2d_forward(const Conv2dParams&, const T*, const float*, const float*, T*, uint8_t*, \
                               const cuda::OutputStatistics&, T*, gpu::Stream);                         \
  template void conv2d_backward_data(const Conv2dParams&, const T*, const float*, T*, T*, gpu::Stream); \
  template void conv2d_backward_weights(const Conv2dParams&, const T*, const T*, float*, T*, gpu::Stream);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace lookalike::cudnn
