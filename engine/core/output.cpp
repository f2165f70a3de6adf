#include "engine/core/output.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace lookalike {
namespace {

[[noreturn]] void fail_to_print() {
  fail("cannot write the result to standard output: {}", std::strerror(errno));
}

void write_to_stdout(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) fail_to_print();
}

// Keeps SIGPIPE from this thread, whoever is to get the others.
class WithoutPipeSignal {
 public:
  WithoutPipeSignal() {
    sigset_t pending;
    sigemptyset(&pending);
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutPipeSignal() {
    constexpr timespec kNow{};
    if (!was_pending_)
      while (sigtimedwait(&pipe_, nullptr, &kNow) < 0 && errno == EINTR) {
      }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  WithoutPipeSignal(const WithoutPipeSignal&) = delete;
  WithoutPipeSignal& operator=(const WithoutPipeSignal&) = delete;

 private:
  sigset_t pipe_, before_;
  bool was_pending_;
};

}  // namespace

void open_standard_files() {
  // Input ends at once, and output fails, for its descriptor is for reading.
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(descriptor, F_GETFD) < 0)
      open("/dev/null", descriptor == STDERR_FILENO ? O_WRONLY : O_RDONLY);
  std::signal(SIGXFSZ, SIG_IGN);
}

void print_one(std::string_view line) {
  write_to_stdout(printable(line) + '\n');
}

void print_text(std::string_view lines) {
  write_to_stdout(printable(lines, true));
}

void flush_output() {
  if (std::fflush(stdout) != 0) fail_to_print();
}

std::string styled(std::string_view lines, bool bold) {
  constexpr char kMarks[] = {kBold, kPlain};
  std::string text;
  while (!lines.empty()) {
    const size_t end = std::min(lines.find_first_of(std::string_view(kMarks, 2)), lines.size());
    text += printable(lines.substr(0, end), true);
    if (bold && end < lines.size()) text += lines[end] == kBold ? "\x1b[1m" : "\x1b[0m";
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return text;
}

void print_styled(std::string_view lines) {
  const char *no_color = std::getenv("NO_COLOR"), *terminal = std::getenv("TERM");
  const bool refused =
      (no_color && *no_color) || (terminal && std::string_view(terminal) == "dumb");
  write_to_stdout(styled(lines, isatty(STDOUT_FILENO) && !refused));
}

void finish_output() {
  if (std::fclose(stdout) != 0) fail_to_print();
}

void write_to_stderr(std::string_view bytes) noexcept {
  const WithoutPipeSignal guard;
  while (!bytes.empty()) {
    const ssize_t written = write(STDERR_FILENO, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    bytes.remove_prefix(written);
  }
}

void say_line(std::string_view line) noexcept {
  try {
    write_to_stderr(one_line(line) + '\n');
  } catch (...) {
    write_to_stderr("not enough memory for a message\n");
  }
}

void say_whole(std::string_view line) noexcept {
  try {
    write_to_stderr(printable(line) + '\n');
  } catch (...) {
    say_line(line);
  }
}

}  // namespace lookalike
