// Arrays for tests of GPU kernels: NaN until written, with canaries on both sides that read() checks.
#pragma once

#include <cmath>
#include <cstring>
#include <type_traits>
#include <vector>

#include "engine/core/error.h"
#include "engine/core/random.h"
#include "kernels/bf16.h"
#include "kernels/gpu/device.h"

namespace lookalike::testing {

template <class T>
class DeviceArray {
 public:
  // Every bit set: NaN in float, double and bf16.
  explicit DeviceArray(int64_t size) : size_(size) {
    stream_ = gpu::compute_stream();
    memory_ = static_cast<uint8_t*>(gpu::allocate(size * sizeof(T) + 2 * canary(), stream_));
    gpu::fill_bytes(memory_, 0xFF, size * sizeof(T) + 2 * canary(), stream_);
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(std::ssize(values)) {
    gpu::copy_to_device(data(), values.data(), size_ * sizeof(T), stream_);
  }
  ~DeviceArray() { gpu::release(memory_, stream_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() { return reinterpret_cast<T*>(memory_ + canary()); }
  int64_t size() const { return size_; }

  // The elements, once everything on the compute stream is done. Error when a kernel wrote beside the array.
  std::vector<T> read() const {
    std::vector<uint8_t> bytes(size_ * sizeof(T) + 2 * canary());
    gpu::copy_to_host(bytes.data(), memory_, bytes.size(), stream_);
    for (size_t i = 0; i < canary(); i++) {
      check(bytes[i] == 0xFF && bytes[bytes.size() - 1 - i] == 0xFF, "an array of {} elements was written outside",
            size_);
    }
    std::vector<T> result(size_);
    if (size_ > 0) std::memcpy(result.data(), bytes.data() + canary(), size_ * sizeof(T));
    return result;
  }

 private:
  static size_t canary() {
    if (gpu::limits().name == "emulator") return 0;  // it sees what lies outside, and reads of it
    return 256;
  }

  int64_t size_;
  gpu::Stream stream_;
  uint8_t* memory_;
};

// Standard normal numbers that a T can hold: other ones for every seed.
template <class T>
std::vector<T> random_values(int64_t count, uint64_t seed) {
  Random random(seed, RandomUse::test);
  std::vector<T> result(count);
  for (T& x : result) {
    if constexpr (std::is_same_v<T, bf16>)
      x = to_bf16(random.normal());
    else
      x = random.normal();
  }
  return result;
}

template <class T>
std::vector<double> to_double(const std::vector<T>& values) {
  std::vector<double> result;
  for (const T& x : values) {
    if constexpr (std::is_same_v<T, bf16>)
      result.push_back(to_float(x));
    else
      result.push_back(x);
  }
  return result;
}

// ||a - b|| / ||b||; infinite where a is not finite or the sizes differ.
inline double relative_error(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return INFINITY;
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); i++) difference += (a[i] - b[i]) * (a[i] - b[i]), norm += b[i] * b[i];
  const double error = std::sqrt(difference) / (std::sqrt(norm) + 1e-30);
  return std::isfinite(error) ? error : INFINITY;
}

}  // namespace lookalike::testing
