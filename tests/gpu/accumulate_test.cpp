#include "kernels/accumulate.h"

#include <doctest/doctest.h>

#include "tests/gpu/device_array.h"

namespace lookalike::testing {
namespace {

template <class T>
double accumulate_error(int64_t n) {
  const auto x = random_values<T>(n, 1), y = random_values<T>(n, 2);
  DeviceArray<T> device_x(x), device_y(y);
  cuda::accumulate<T>(device_x.data(), device_y.data(), n, gpu::compute_stream());
  auto want = to_double(y);
  for (int64_t i = 0; i < n; i++) want[i] += to_double(x)[i];
  return relative_error(to_double(device_y.read()), want);
}

TEST_CASE("accumulate") {
  for (const int64_t n : {0, 1, 31, 33, 1009}) {
    CAPTURE(n);
    CHECK(accumulate_error<float>(n) < 1e-6);
    CHECK(accumulate_error<bf16>(n) < 1e-2);
  }
}

}  // namespace
}  // namespace lookalike::testing
