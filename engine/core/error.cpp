#include "engine/core/error.h"

#include <algorithm>

#include <utf8proc.h>

namespace lookalike {
namespace {

constexpr size_t kMostCharacters = 300;  // of a message

bool is_control(int32_t c) {
  const bool line_end = c == 0x2028 || c == 0x2029;
  const bool bidirectional = c == 0x061C || c == 0x200E || c == 0x200F ||
                             (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x206F);
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || line_end || bidirectional;
}

bool begins_character(char c) {
  return (c & 0xC0) != 0x80;
}

}  // namespace

std::string printable(std::string_view text, bool lines) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    int32_t c = -1;
    const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + i;
    const auto size = utf8proc_iterate(at, std::ssize(text) - static_cast<int64_t>(i), &c);
    if (size < 1)
      result += fmt::format("\\x{:02x}", *at);
    else if (c == '\n')
      result += lines ? "\n" : "\\n";
    else if (is_control(c))
      result += c < 0x80 ? fmt::format("\\x{:02x}", c) : fmt::format("\\u{:04x}", c);
    else
      result += text.substr(i, size);
    i += std::max<int64_t>(size, 1);
  }
  return result;
}

std::string one_line(std::string_view text) {
  // A character takes at most four bytes; what is cut inside one here is left out below.
  constexpr size_t kEnd = 4 * kMostCharacters;
  std::string line = text.size() <= 2 * kEnd ? printable(text)
                                             : printable(text.substr(0, kEnd)) +
                                                   printable(text.substr(text.size() - kEnd));
  const auto characters = static_cast<size_t>(std::ranges::count_if(line, begins_character));
  if (characters <= kMostCharacters) return line;
  constexpr std::string_view kDots = "...";
  constexpr size_t kHead = kMostCharacters / 2, kTail = kMostCharacters - kHead - kDots.size();
  size_t from = 0, to = line.size(), left = kHead;
  while (left > 0 || !begins_character(line[from])) left -= begins_character(line[from++]);
  for (left = kTail; left > 0;) left -= begins_character(line[--to]);
  return line.replace(from, to - from, kDots);
}

}  // namespace lookalike
