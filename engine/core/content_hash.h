// A hash of content, to tell things apart and not to guard them: FNV-1a (Fowler, Noll, Vo) in 64 bits over words of eight bytes, the last word of
// each piece filled up with zeros.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include <fmt/format.h>

namespace lookalike {

class ContentHash {
 public:
  void add(const void* data, size_t bytes) {
    const auto* at = static_cast<const char*>(data);
    for (size_t i = 0; i < bytes; i += 8) {
      uint64_t word = 0;
      std::memcpy(&word, at + i, std::min<size_t>(8, bytes - i));
      value_ = (value_ ^ word) * 0x100000001B3;
      value_ ^= value_ >> 29;  // the product alone never brings high bits down
    }
  }
  // With its length, so that {"ab", "c"} is not {"a", "bc"}.
  void add(const std::string& text) {
    const uint64_t size = text.size();
    add(&size, sizeof(size));
    add(text.data(), text.size());
  }
  uint64_t value() const { return value_; }
  std::string hex() const { return fmt::format("{:016x}", value_); }

 private:
  uint64_t value_ = 0xCBF29CE484222325;
};

}  // namespace lookalike
