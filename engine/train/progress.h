// What long work shows: a line that is rewritten on a terminal, and nothing but whole lines elsewhere.
#pragma once

#include <chrono>
#include <string>

namespace lookalike {

// "1:02:03", "2:03"
std::string format_seconds(double seconds);

class Progress {
 public:
  Progress();
  ~Progress() { clear(); }
  // Shows `line` in place of the last one, a few times a second at most; on a terminal only.
  void update(const std::string& line);
  // Prints a line that stays, to stderr.
  void print(const std::string& line);

 private:
  void clear();

  bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace lookalike
