// A hash of content, to tell things apart and not to guard them: after FNV-1a (Fowler, Noll, Vo) in 64 bits, over words of eight bytes, the last word
// of each piece filled up with zeros.
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
    size_t i = 0;
    if (bytes >= 32) {
      // Four chains side by side, since each step of one waits for the last.
      uint64_t chains[4] = {value_, value_ + 1, value_ + 2, value_ + 3};
      for (; i + 32 <= bytes; i += 32)
        for (size_t c = 0; c < 4; c++) chains[c] = step(chains[c], at + i + 8 * c, 8);
      value_ = chains[0];
      for (size_t c = 1; c < 4; c++) value_ = step(value_, &chains[c], 8);
    }
    for (; i < bytes; i += 8) value_ = step(value_, at + i, std::min<size_t>(8, bytes - i));
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
  static uint64_t step(uint64_t value, const void* data, size_t bytes) {
    uint64_t word = 0;
    std::memcpy(&word, data, bytes);
    value = (value ^ word) * 0x100000001B3;
    return value ^ value >> 29;  // the product alone never brings high bits down
  }

  uint64_t value_ = 0xCBF29CE484222325;
};

}  // namespace lookalike
