#include "engine/core/device.h"

#include "engine/core/error.h"

namespace lookalike {

Device parse_device(const std::string& name) {
  check(name != "cuda", "device 'cuda': this build has no GPU kernels, use --device cpu");
  check(name == "cpu", "device '{}' is unknown, expected cpu", name);
  return Device::cpu;
}

}  // namespace lookalike
