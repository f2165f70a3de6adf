#include "engine/core/device.h"

#include "engine/core/error.h"
#include "kernels/gpu/cudnn.h"
#include "kernels/gpu/device.h"

namespace lookalike {
namespace {
thread_local bool tf32 = false;
thread_local ConvBackend conv_backend = ConvBackend::native;
}  // namespace

Device parse_device(const std::string& name) {
  if (name == "cpu") return Device::cpu;
  check(name == "cuda", "device '{}' is unknown, expected cpu or cuda", name);
  check(gpu::kBuilt, "device 'cuda': this build has no GPU kernels, use --device cpu");
  if constexpr (gpu::kBuilt) check(gpu::available(), "device 'cuda': {}; use --device cpu", gpu::why_not());
  return Device::cuda;
}

Compute parse_compute(const std::string& device, const std::string& precision, const std::string& conv) {
  Compute compute{parse_device(device)};
  const bool on_gpu = compute.device == Device::cuda;
  if (precision != "fp32") {
    check(precision == "tf32" || precision == "bf16", "precision '{}' is unknown, expected fp32, tf32 or bf16",
          precision);
    check(on_gpu, "precision '{}' needs --device cuda, the CPU computes in fp32", precision);
    compute.precision = precision == "tf32" ? Precision::tf32 : Precision::bf16;
  }
  if (conv == "exact") {
    compute.conv = ConvBackend::exact;
  } else if (conv != "native") {
    check(conv == "cudnn", "conv '{}' is unknown, expected native, cudnn or exact", conv);
    check(on_gpu, "conv 'cudnn' needs --device cuda, the CPU has its own kernels alone");
    if constexpr (gpu::kBuilt) {
      const std::string why_not = cudnn::why_not();
      check(why_not.empty(), "conv 'cudnn': {}; use --conv native", why_not);
    }
    compute.conv = ConvBackend::cudnn;
  }
  return compute;
}

void allow_tf32(bool allow) {
  tf32 = allow;
}

bool tf32_allowed() {
  return tf32;
}

void choose_conv(ConvBackend backend) {
  conv_backend = backend;
}

ConvBackend chosen_conv() {
  return conv_backend;
}

}  // namespace lookalike
