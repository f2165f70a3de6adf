// Lists of names in messages, which stay short enough to read.
#pragma once

#include <algorithm>
#include <span>
#include <string>

#include <fmt/ranges.h>

namespace lookalike {

// At most `most` of them, and how many more there are.
inline std::string some_of(std::span<const std::string> names, const char* separator = ", ", size_t most = 10) {
  const std::string shown = fmt::format("{}", fmt::join(names.first(std::min(names.size(), most)), separator));
  return names.size() <= most ? shown : fmt::format("{}{}and {} more", shown, separator, names.size() - most);
}

}  // namespace lookalike
