// The emulator: it reports every kind of mistake, and nothing where there is none; and lanes hear what the manual says.
#include <string>

#include <doctest/doctest.h>

#include "kernels/simt/counts.h"
#include "tests/gpu/device_array.h"
#include "tests/simt/kernels.h"

namespace lookalike::testing {
namespace {

std::string report_of(void (*kernel)(const float*, float*), int blocks) {
  DeviceArray<float> y(128);
  // Without the canaries of a DeviceArray, so that one element too far is outside.
  const gpu::Stream stream = gpu::compute_stream();
  const auto values = random_values<float>(64, 1);
  void* const x = gpu::allocate(64 * sizeof(float), stream);
  gpu::copy_to_device(x, values.data(), 64 * sizeof(float), stream);
  std::string report;
  try {
    run(kernel, blocks, static_cast<const float*>(x), y.data());
  } catch (const gpu::Failure& failure) {
    report = failure.what();
  }
  gpu::release(x, stream);
  return report;
}

TEST_CASE("every mistake is reported, and its right twin is not") {
  for (const Mistake& mistake : mistakes()) {
    CAPTURE(mistake.name);
    const std::string report = report_of(mistake.wrong, mistake.blocks);
    CAPTURE(report);
    CHECK(report.find(mistake.says) != std::string::npos);
    CHECK(report.find("kernels.cu:") != std::string::npos);  // the launch, and where it can, the line
    CHECK(report_of(mistake.right, mistake.blocks) == "");
  }
}

TEST_CASE("a released buffer is outside of every buffer") {
  const gpu::Stream stream = gpu::compute_stream();
  void* const x = gpu::allocate(64 * sizeof(float), stream);
  DeviceArray<float> y(128);
  gpu::release(x, stream);
  CHECK_THROWS_AS(run(mistakes()[0].right, 1, static_cast<const float*>(x), y.data()), gpu::Failure);
}

TEST_CASE("shared memory ends at 227 KiB") {
  DeviceArray<float> x(64), y(128);
  run_too_much_shared(x.data(), y.data(), 227 << 10);
  CHECK_THROWS_AS(run_too_much_shared(x.data(), y.data(), (227 << 10) + 1), gpu::Failure);
}

TEST_CASE("sectors, passes through the banks and barriers are counted") {
  const auto count = [](int stride, int row) {
    DeviceArray<float> x(random_values<float>(32 * stride, 1)), y(32);
    simt::clear_counts();
    simt::count_accesses(true);
    run_strides(stride, row, x.data(), y.data());
    simt::count_accesses(false);
    return simt::kernel_counts().at("strides");
  };
  const simt::KernelCounts dense = count(1, 1);
  CHECK(dense.launches == 1);
  CHECK(dense.blocks == 1);
  CHECK(dense.threads == 32);
  CHECK(dense.barriers == 1);
  CHECK(dense.loads.bytes == 128);
  CHECK(dense.loads.sectors == 4);
  CHECK(dense.stores.sectors == 4);
  CHECK(dense.shared_loads.bytes == 128);
  CHECK(dense.shared_loads.passes == 1);
  const simt::KernelCounts sparse = count(3, 32);
  CHECK(sparse.loads.sectors == 12);
  CHECK(sparse.loads.least == 4);
  CHECK(sparse.shared_stores.passes == 32);
  CHECK(sparse.shared_loads.passes == 32);
  CHECK(sparse.shared_loads.least == 1);
  CHECK(count(8, 33).loads.sectors == 32);
  CHECK(count(8, 33).shared_loads.passes == 1);
}

TEST_CASE("shuffles and votes") {
  const auto x = random_values<float>(64, 1);
  DeviceArray<float> device_x(x), device_y(256);
  run_talk(device_x.data(), device_y.data());
  const auto y = device_y.read();
  for (int lane = 0; lane < 32; lane++) {
    const float want[8] = {x[(lane + 3) % 32],
                           x[lane ^ 5],
                           x[lane < 28 ? lane + 4 : lane],
                           x[lane >= 4 ? lane - 4 : lane],
                           11,
                           1,
                           static_cast<float>(lane ^ 1),
                           10};
    for (int i = 0; i < 8; i++) CHECK(y[8 * lane + i] == want[i]);
  }
}

TEST_CASE("mma and ldmatrix") {
  for (const bool half : {false, true}) {
    const int k = half ? 16 : 8;
    const auto a = random_values<float>(16 * k, 1), b = random_values<float>(8 * k, 2);
    DeviceArray<float> device_a(a), device_b(b), device_d(128);
    run_multiply(half, device_a.data(), device_b.data(), device_d.data());
    std::vector<double> want;
    for (int row = 0; row < 16; row++) {
      for (int column = 0; column < 8; column++) {
        double sum = 0;
        for (int i = 0; i < k; i++) sum += double{a[row * k + i]} * b[column * k + i];
        want.push_back(sum);
      }
    }
    CHECK(relative_error(to_double(device_d.read()), want) < (half ? 1e-2 : 1e-3));
  }
}

}  // namespace
}  // namespace lookalike::testing
