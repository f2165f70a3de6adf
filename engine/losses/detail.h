// What the losses share: not for their users.
#pragma once

#include <vector>

#include "engine/losses/loss.h"

namespace lookalike::detail {

// What the kernels of a loss write to: the gradient of e; the loss, float for a bf16 e; the sums, zeros at first.
struct LossOutput {
  Tensor de, loss, sums;

  // With zeros as the gradient.
  explicit LossOutput(const Variable& e);
  // With `de` for it, which a kernel overwrites.
  LossOutput(const Variable& e, Tensor de);
  // On the CPU.
  void set(double value, const DistanceSums& counted);
  DistanceSums* sums_data() { return reinterpret_cast<DistanceSums*>(sums.raw()); }
};

// The loss as a variable whose gradient with respect to `e` is output.de.
LossResult finish(const Variable& e, const LossOutput& output, const LossStats& per);

// A list in the memory of a device, as bytes.
template <class T>
Tensor copy_list(const std::vector<T>& list, Device device) {
  Tensor here({static_cast<int64_t>(list.size() * sizeof(T))}, DType::u8);
  std::copy_n(reinterpret_cast<const std::byte*>(list.data()), here.bytes(), here.raw());
  return here.to(device);
}
template <class T>
T* list_data(Tensor& list) {
  return reinterpret_cast<T*>(list.raw());
}

}  // namespace lookalike::detail
