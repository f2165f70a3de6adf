#include "engine/core/device.h"

#include "engine/core/error.h"
#include "kernels/gpu/device.h"

namespace lookalike {
namespace {
thread_local bool tf32 = false;
}

Device parse_device(const std::string& name) {
  if (name == "cpu") return Device::cpu;
  check(name == "cuda", "device '{}' is unknown, expected cpu or cuda", name);
  check(gpu::kBuilt, "device 'cuda': this build has no GPU kernels, use --device cpu");
  if constexpr (gpu::kBuilt) check(gpu::available(), "device 'cuda': {}; use --device cpu", gpu::why_not());
  return Device::cuda;
}

Compute parse_compute(const std::string& device, const std::string& precision) {
  const Device where = parse_device(device);
  if (precision == "fp32") return {where, Precision::fp32};
  check(precision == "tf32" || precision == "bf16", "precision '{}' is unknown, expected fp32, tf32 or bf16",
        precision);
  check(where == Device::cuda, "precision '{}' needs --device cuda, the CPU computes in fp32", precision);
  return {where, precision == "tf32" ? Precision::tf32 : Precision::bf16};
}

void allow_tf32(bool allow) {
  tf32 = allow;
}

bool tf32_allowed() {
  return tf32;
}

}  // namespace lookalike
