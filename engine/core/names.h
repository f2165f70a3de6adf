// Lists of names in messages, which stay short enough to read.
#pragma once

#include <algorithm>
#include <span>
#include <string>

#include <fmt/ranges.h>

namespace lookalike {

// At most ten, and how many more there are.
inline std::string some_of(std::span<const std::string> names, const char* separator = ", ") {
  constexpr size_t kShown = 10;
  const std::string shown = fmt::format("{}", fmt::join(names.first(std::min(names.size(), kShown)), separator));
  return names.size() <= kShown ? shown : fmt::format("{}{}and {} more", shown, separator, names.size() - kShown);
}

}  // namespace lookalike
