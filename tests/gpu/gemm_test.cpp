// The core of the matrix product by itself: every tile shape and math, split depths, and the epilogue that gets whole tiles.
#include "tests/gpu/gemm_test.h"

#include <doctest/doctest.h>

#include "tests/gpu/device_array.h"

namespace lookalike::testing {
namespace {

template <class T>
double gemm_error(const GemmCase& x) {
  const auto a = random_values<T>(int64_t{x.m} * x.k, 1), b = random_values<T>(int64_t{x.n} * x.k, 2);
  DeviceArray<T> device_a(a), device_b(b);
  DeviceArray<float> c(int64_t{x.m} * x.n), workspace(int64_t{x.splits} * x.m * x.n);
  run_gemm(x, device_a.data(), device_b.data(), c.data(), workspace.data());
  std::vector<double> want(int64_t{x.m} * x.n);
  const auto wide_a = to_double(a), wide_b = to_double(b);
  for (int i = 0; i < x.m; i++) {
    for (int p = 0; p < x.k; p++) {
      const double factor = wide_a[x.transposed ? p * x.m + i : i * x.k + p];
      for (int j = 0; j < x.n; j++) want[i * x.n + j] += factor * wide_b[x.transposed ? j * x.k + p : p * x.n + j];
    }
  }
  return relative_error(to_double(c.read()), want);
}

void check_gemm(GemmCase x) {
  for (const bool transposed : {false, true}) {
    x.transposed = transposed;
    for (int tile = 0; tile < 4; tile++) {
      x.tile = tile;
      CAPTURE(transposed);
      CAPTURE(tile);
      CAPTURE(x.splits);
      x.tf32 = false;
      CHECK(gemm_error<float>(x) < 1e-6);
      CHECK(gemm_error<bf16>(x) < 1e-5);
      x.tf32 = true;
      CHECK(gemm_error<float>(x) < 1e-3);
    }
  }
}

TEST_CASE("gemm: every tile") {
  check_gemm({.splits = 1, .m = 136, .n = 144, .k = 88});  // two by two tiles, several steps
  check_gemm({.splits = 1, .m = 8, .n = 8, .k = 8});
}

TEST_CASE("gemm: split depth") {
  check_gemm({.splits = 3, .m = 40, .n = 136, .k = 136});
  check_gemm({.splits = 8, .m = 8, .n = 8, .k = 72});  // some shares without any depth
}

TEST_CASE("gemm: staged tiles") {
  check_gemm({.splits = 1, .m = 136, .n = 144, .k = 40, .staged = true});
}

TEST_CASE("gemm: bands of tiles") {
  CHECK(gemm_error<bf16>({.tile = 2, .splits = 1, .m = 72, .n = 584, .k = 8}) < 1e-5);
}

}  // namespace
}  // namespace lookalike::testing
