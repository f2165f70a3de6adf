// Convolutions with cuDNN's products against our own.
#include <algorithm>

#include <doctest/doctest.h>

#include "kernels/conv2d.h"
#include "tests/gpu/cudnn_found.h"
#include "tests/gpu/device_array.h"

namespace lookalike::testing {
namespace {

struct Layer {
  Conv2dParams p;
  bool bias = false;
  int64_t views = 0;
};

struct Results {
  std::vector<double> y, mean, variance, dx, dw;
  std::vector<uint8_t> argmax;
};

// All passes, each with a workspace of just its size.
template <class T>
Results run(const Conv2dParams& p, bool with_bias, int64_t views) {
  const gpu::Stream stream = gpu::compute_stream();
  const int64_t xs = p.batch * p.in_h * p.in_w * p.in_c, zs = p.batch * p.out_h() * p.out_w() * p.out_c;
  const int64_t ws = p.out_c * p.kernel_h * p.kernel_w * p.in_c, ys = p.batch * p.y_h() * p.y_w() * p.out_c;
  DeviceArray<T> x(random_values<T>(xs, 1)), dz(random_values<T>(zs, 2)), y(ys), dx(xs);
  DeviceArray<float> w(random_values<float>(ws, 3)), bias(random_values<float>(p.out_c, 4)), dw(ws);
  DeviceArray<float> mean(views * p.out_c), variance(views * p.out_c);
  DeviceArray<uint8_t> argmax(p.pool == 2 ? ys : 0);
  const Conv2dWorkspace sizes = cuda::conv2d_workspace<T>(p);
  DeviceArray<T> forward(sizes.forward), data(sizes.backward_data), weights(sizes.backward_weights);
  cuda::conv2d_forward<T>(p, x.data(), w.data(), with_bias ? bias.data() : nullptr, y.data(),
                          p.pool == 2 ? argmax.data() : nullptr, {views, mean.data(), variance.data()}, forward.data(),
                          stream);
  cuda::conv2d_backward_data<T>(p, dz.data(), w.data(), dx.data(), data.data(), stream);
  cuda::conv2d_backward_weights<T>(p, x.data(), dz.data(), dw.data(), weights.data(), stream);
  for (const auto* workspace : {&forward, &data, &weights}) workspace->read();  // for its canaries
  return {to_double(y.read()),  to_double(mean.read()), to_double(variance.read()),
          to_double(dx.read()), to_double(dw.read()),   argmax.read()};
}

template <class T>
void compare(const Layer& layer, bool tf32, double tolerance) {
  Conv2dParams p = layer.p;
  p.tf32 = tf32;
  const Results ours = run<T>(p, layer.bias, layer.views);
  p.cudnn = true;
  const Results theirs = run<T>(p, layer.bias, layer.views), again = run<T>(p, layer.bias, layer.views);
  CAPTURE(sizeof(T));
  CAPTURE(tf32);
  CHECK(relative_error(theirs.y, ours.y) <= tolerance);
  CHECK(relative_error(theirs.mean, ours.mean) <= tolerance);
  CHECK(relative_error(theirs.variance, ours.variance) <= tolerance);
  CHECK(relative_error(theirs.dx, ours.dx) <= tolerance);
  CHECK(relative_error(theirs.dw, ours.dw) <= tolerance);
  // Elsewhere rounding decides which of two close values is the larger.
  if (sizeof(T) == 4 && !tf32) CHECK(theirs.argmax == ours.argmax);
  CHECK((again.y == theirs.y && again.dx == theirs.dx && again.dw == theirs.dw));
}

TEST_CASE("conv2d by cuDNN agrees with our own, the same bits each time") {
  if (!cudnn_found()) return;
  const Activation relu{ActivationKind::relu}, leaky{ActivationKind::leaky_relu, 0.1}, sigmoid{ActivationKind::sigmoid};
  const auto conv = [](int64_t batch, int64_t h, int64_t w, int64_t c, int64_t k, int64_t r, int64_t s, int64_t stride,
                       int64_t pad_h, int64_t pad_w, const Activation& f = {}, int64_t pool = 1) {
    return Conv2dParams{batch, h, w, c, k, r, s, stride, pad_h, pad_w, pad_h, pad_w, f, pool};
  };
  for (const Layer& layer : {Layer{conv(1, 1, 1, 1, 1, 1, 1, 1, 0, 0)},
                             {conv(2, 5, 17, 1, 33, 3, 3, 1, 1, 1, leaky), true},
                             {conv(3, 9, 7, 5, 64, 3, 3, 1, 1, 1, relu, 2), true},
                             {conv(1, 7, 34, 3, 31, 5, 5, 1, 2, 2, leaky, 2), true},
                             {conv(2, 6, 9, 8, 7, 3, 5, 1, 1, 2, {}, 2)},
                             {conv(2, 10, 11, 33, 1, 5, 2, 3, 4, 1, sigmoid), true},
                             {conv(1, 13, 11, 16, 24, 3, 3, 2, 1, 1, relu)},
                             {conv(4, 8, 8, 8, 16, 3, 3, 1, 1, 1), false, 2},
                             {conv(3, 5, 7, 31, 33, 1, 1, 1, 0, 0), true, 3}}) {
    CAPTURE(layer.p.in_c);
    CAPTURE(layer.p.out_c);
    CAPTURE(layer.p.kernel_h);
    CAPTURE(layer.p.pool);
    compare<float>(layer, false, 1e-4);  // tf32 is off by more
    compare<float>(layer, true, 2e-3);
    compare<bf16>(layer, false, 2e-2);
  }
}

TEST_CASE("what cuDNN cannot express is ours, with the same bits") {
  if (!cudnn_found()) return;
  Conv2dParams padded{2, 6, 7, 3, 5, 3, 2, 1, 1, 0, 1, 1}, empty{0, 4, 4, 3, 5, 3, 3};
  for (Conv2dParams p : {padded, empty}) {
    const Results ours = run<float>(p, true, 0);
    p.cudnn = true;
    const Results same = run<float>(p, true, 0);
    CHECK((same.y == ours.y && same.dx == ours.dx && same.dw == ours.dw));
  }
}

}  // namespace
}  // namespace lookalike::testing
