// Where a tensor lives and its ops run. The GPU's place is here: Device::cuda joins with its kernels.
#pragma once

#include <cstdint>
#include <string>

namespace lookalike {

enum class Device : uint8_t { cpu };

inline const char* name_of(Device) {
  return "cpu";
}

// "cpu"; anything else, or a device this build lacks, is an Error that says so.
Device parse_device(const std::string& name);

}  // namespace lookalike
