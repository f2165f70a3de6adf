// The one exception type, and the checks that throw it. A message is one line: what, where, what was expected.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace lookalike {

// What a file or its name holds must not break a line, command a terminal or reorder what it shows.
// Control characters, Unicode's line ends and bidirectional controls, and bytes that are no UTF-8
// come back as escapes ("\\n", "\\x1b", "\\u202e"). `lines`: line ends stay.
std::string printable(std::string_view text, bool lines = false);

// The text as a message: printable, and of at most 300 characters, with "..." in place of the
// middle of what is longer.
std::string one_line(std::string_view text);

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(one_line(message)) {}
};

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

// Throws Error with the formatted message unless `ok`; the arguments are only read on failure.
template <class... Args>
void check(bool ok, fmt::format_string<Args...> format, Args&&... args) {
  if (!ok) [[unlikely]]
    fail(format, std::forward<Args>(args)...);
}

}  // namespace lookalike
