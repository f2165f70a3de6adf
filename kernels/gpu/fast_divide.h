// Division of 0 ... 2^31 - 1 by a number known at the launch: a multiplication, an addition and a shift (Granlund, Montgomery,
// "Division by invariant integers using multiplication", PLDI 1994). Of an empty shape, where there is nothing to divide, the
// divisor may be 0.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace lookalike::gpu {

class FastDivide {
 public:
  FastDivide() = default;
  explicit FastDivide(int64_t divisor) : divisor_(static_cast<uint32_t>(divisor > 0 ? divisor : 1)), shift_(0) {
    while ((uint64_t{1} << shift_) < divisor_) shift_++;
    magic_ = static_cast<uint32_t>((uint64_t{1} << 32) * ((uint64_t{1} << shift_) - divisor_) / divisor_ + 1);
  }

  LOOKALIKE_HOST_DEVICE int divide(int n) const {
    const uint32_t high = static_cast<uint32_t>(static_cast<uint64_t>(static_cast<uint32_t>(n)) * magic_ >> 32);
    return static_cast<int>((high + static_cast<uint32_t>(n)) >> shift_);
  }
  // n / divisor; n becomes the remainder.
  LOOKALIKE_HOST_DEVICE int split(int& n) const {
    const int quotient = divide(n);
    n -= quotient * static_cast<int>(divisor_);
    return quotient;
  }

 private:
  uint32_t divisor_ = 1, magic_ = 1, shift_ = 0;
};

}  // namespace lookalike::gpu
