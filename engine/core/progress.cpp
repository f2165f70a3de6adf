#include "engine/core/progress.h"

#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "engine/core/output.h"

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
  write_to_stderr("\r\033[K" + one_line(line));
  shown_ = true;
}

void Progress::print(const std::string& line) {
  clear();
  say_line(line);
}

void Progress::clear() {
  if (!shown_) return;
  write_to_stderr("\r\033[K");
  shown_ = false;
}

std::string format_count(int64_t count) {
  std::string text = std::to_string(count);
  for (int64_t i = std::ssize(text) - 3; i > 0; i -= 3) text.insert(i, 1, ',');
  return text;
}

namespace {
std::atomic<bool> one_shows = false;
}

ProgressCount::ProgressCount(std::string doing, std::string things, int64_t total)
    : doing_(std::move(doing)), things_(std::move(things)), total_(total), shows_(!one_shows.exchange(true)) {}

ProgressCount::~ProgressCount() {
  if (shows_) one_shows = false;
}

void ProgressCount::add(int64_t done) {
  const int64_t now_done = done_ += done;
  if (!shows_) return;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  constexpr double kSilent = 0.5;  // seconds
  std::unique_lock free(mutex_, std::try_to_lock);
  if (seconds < kSilent || !free.owns_lock()) return;
  const double left = seconds * static_cast<double>(total_ - now_done) / static_cast<double>(now_done);
  progress_.update(fmt::format("{} {} of {} {}  {} left", doing_, format_count(now_done), format_count(total_), things_,
                               format_seconds(left)));
}

}  // namespace lookalike
