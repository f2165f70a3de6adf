// Progress: on a terminal alone, once work takes a while, and wiped before what comes after it.
#include "engine/core/progress.h"

#include <thread>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lookalike {
namespace {

// What work of two threads that lasts a while writes to stderr, where that is a terminal or a pipe.
std::string shown_on(bool terminal, int64_t milliseconds) {
  int from, pipes[2];
  REQUIRE(pipe(pipes) == 0);
  const pid_t child = terminal ? forkpty(&from, nullptr, nullptr, nullptr) : fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (!terminal) dup2(pipes[1], STDERR_FILENO);
    {
      ProgressCount outer("decoding", "images", 2002), inner("embedding", "images", 1);
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
      std::thread other([&] { outer.add(1000); });
      inner.add();
      other.join();
      outer.add();
    }
    fmt::print(stderr, "done\n");
    _exit(0);
  }
  close(pipes[1]);
  if (!terminal) from = pipes[0];
  std::string text;
  char buffer[256];
  for (ssize_t size; (size = ::read(from, buffer, sizeof buffer)) > 0;) text.append(buffer, size);
  waitpid(child, nullptr, 0);
  close(pipes[0]);
  if (terminal) close(from);
  return text;
}

TEST_CASE("progress shows on a terminal alone, after a while, and is wiped before what follows") {
  CHECK(format_count(7) == "7");
  CHECK(format_count(1001) == "1,001");
  CHECK(format_count(123456) == "123,456");
  CHECK(format_count(12345678) == "12,345,678");
  CHECK(shown_on(false, 600) == "done\n");
  CHECK(shown_on(true, 0) == "done\r\n");
  const std::string shown = shown_on(true, 600);
  CHECK(shown.starts_with("\r\033[Kdecoding 1,000 of 2,002 images  0:0"));
  CHECK(shown.ends_with(" left\r\033[Kdone\r\n"));
  CHECK(shown.find("embedding") == std::string::npos);
}

}  // namespace
}  // namespace lookalike
