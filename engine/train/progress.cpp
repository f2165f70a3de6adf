#include "engine/train/progress.h"

#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

namespace lookalike {

std::string format_seconds(double seconds) {
  const auto s = static_cast<long>(seconds + 0.5);
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

Progress::Progress() : terminal_(isatty(STDERR_FILENO)) {}

void Progress::update(const std::string& line) {
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ || now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  fmt::print(stderr, "\r\033[K{}", line);
  std::fflush(stderr);
  shown_ = true;
}

void Progress::print(const std::string& line) {
  clear();
  fmt::print(stderr, "{}\n", line);
}

void Progress::clear() {
  if (!shown_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace lookalike
