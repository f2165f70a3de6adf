#pragma once

#include <string>

#include "engine/core/random.h"

namespace lookalike {

// One to three bytes of `bytes` overwritten, inserted or removed. Half of the edits put a character of `language` there, which gets further
// with a reader of that language than a random byte.
inline std::string damaged(std::string bytes, const std::string& language, Random& random) {
  for (uint64_t edits = 1 + random.below(3); edits > 0; edits--) {
    const size_t at = random.below(bytes.size());
    const char byte = random.below(2) ? language[random.below(language.size())] : static_cast<char>(random.below(256));
    switch (random.below(4)) {
      case 0:
        bytes.insert(at, 1, byte);
        break;
      case 1:
        bytes.erase(at, 1);
        break;
      default:
        bytes[at] = byte;
    }
  }
  return bytes;
}

}  // namespace lookalike
