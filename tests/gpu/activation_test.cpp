// What no op's case reaches without cuDNN.
#include "kernels/activation.h"

#include <doctest/doctest.h>

#include "tests/gpu/device_array.h"

namespace lookalike::testing {
namespace {

template <class T>
void check_bias(const Activation& activation, int64_t rows, int64_t channels, double tolerance) {
  const auto x = random_values<T>(rows * channels, 1);
  const auto bias = random_values<float>(channels, 2);
  DeviceArray<T> device_x(x), y(rows * channels);
  DeviceArray<float> device_bias(bias);
  cuda::bias_activation_forward<T>(activation, device_x.data(), device_bias.data(), y.data(), rows, channels,
                                   gpu::compute_stream());
  std::vector<double> want = to_double(x);
  with_activation<double>(activation, [&](auto f) {
    for (size_t i = 0; i < want.size(); i++) want[i] = f.forward(want[i] + bias[i % channels]);
  });
  CHECK(relative_error(to_double(y.read()), want) <= tolerance);
  // In place.
  cuda::bias_activation_forward<T>(activation, device_x.data(), device_bias.data(), device_x.data(), rows, channels,
                                   gpu::compute_stream());
  CHECK(to_double(device_x.read()) == to_double(y.read()));
}

TEST_CASE("activation of a sum with a bias") {
  for (const Activation& activation :
       {Activation{}, Activation{ActivationKind::relu}, Activation{ActivationKind::leaky_relu, 0.1},
        Activation{ActivationKind::relu6}, Activation{ActivationKind::sigmoid}}) {
    CAPTURE(static_cast<int>(activation.kind));
    for (const auto& [rows, channels] :
         {std::pair<int64_t, int64_t>{0, 5}, {3, 0}, {1, 1}, {31, 33}, {7, 64}, {5, 12}}) {
      CAPTURE(channels);
      check_bias<float>(activation, rows, channels, 1e-6);
      check_bias<bf16>(activation, rows, channels, 4e-3);
    }
  }
}

}  // namespace
}  // namespace lookalike::testing
