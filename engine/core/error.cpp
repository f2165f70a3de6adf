#include "engine/core/error.h"

namespace lookalike {

std::string printable(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); i++) {
    const auto byte = static_cast<uint8_t>(text[i]);
    // UTF-8 has U+0080 to U+009F, which terminals also obey, as C2 and the byte of that value.
    const bool second_set = byte == 0xC2 && i + 1 < text.size() && static_cast<uint8_t>(text[i + 1]) < 0xA0;
    if (byte == '\n')
      result += "\\n";
    else if (byte < 0x20 || byte == 0x7F)
      result += fmt::format("\\x{:02x}", byte);
    else if (second_set)
      result += fmt::format("\\u{:04x}", static_cast<uint8_t>(text[++i]));
    else
      result += text[i];
  }
  return result;
}

}  // namespace lookalike
