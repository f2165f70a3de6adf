// What long work shows: a line that is rewritten on a terminal, and nothing but whole lines
// elsewhere.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
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

// "1,001"
std::string format_count(int64_t count);

// How far a loop is, on a terminal and once it takes a while: "decoding 312 of 1,001 images  0:04
// left". Of those that live at the same time the first one shows, so that what a larger task is
// made of stays silent.
class ProgressCount {
 public:
  ProgressCount(std::string doing, std::string things, int64_t total);
  ~ProgressCount();
  // From any thread.
  void add(int64_t done = 1);

 private:
  const std::string doing_, things_;
  const int64_t total_;
  const bool shows_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::atomic<int64_t> done_ = 0;
  std::mutex mutex_;  // of progress_
  Progress progress_;
};

}  // namespace lookalike
