// What people read: messages in one short line, results that arrive; neither commands a terminal.
#include "engine/core/output.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

// Characters of UTF-8.
size_t characters(const std::string& text) {
  return std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; });
}

std::string repeated(const std::string& text, int times) {
  std::string result;
  for (int i = 0; i < times; i++) result += text;
  return result;
}

// How a child ends whose standard output or error is `descriptor`; negative where a signal ended it.
int status_of_child(int standard, int descriptor, const std::function<int()>& body) {
  std::fflush(nullptr);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(descriptor, standard);
    close(descriptor);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

// A pipe that nobody reads.
int broken_pipe() {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  close(ends[0]);
  return ends[1];
}

TEST_CASE("an invariant of JSON that is broken ends as std::terminate() does, which can say why") {
  const pid_t child = fork();
  if (child == 0) {
    std::set_terminate([] { _exit(7); });
    const nlohmann::json empty = nlohmann::json::object();
    _exit(empty["missing"].is_null() ? 1 : 0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 7);
}

}  // namespace

TEST_CASE("printable: whatever breaks a line or commands a terminal is escaped, all else stays") {
  CHECK(printable("a b/c.png \xC3\xA4 \xE2\x98\x83 \xF0\x9F\x98\x80") ==
        "a b/c.png \xC3\xA4 \xE2\x98\x83 \xF0\x9F\x98\x80");
  CHECK(printable("a\nb\r\t\x1b[31m\x7f") == R"(a\nb\x0d\x09\x1b[31m\x7f)");
  CHECK(printable(std::string_view("a\0b", 3)) == R"(a\x00b)");
  CHECK(printable("a\nb\x1b\n", true) == "a\nb\\x1b\n");
  CHECK(printable("\xC2\x9B"
                  "2J \xC2\xA0") ==
        "\\u009b2J \xC2\xA0");  // a control of the second set, and a space
  // Bidirectional controls, and the line ends of Unicode.
  CHECK(printable("\xE2\x80\xAE"
                  "gnp.exe \xE2\x81\xA6 \xE2\x80\x8F") == R"(\u202egnp.exe \u2066 \u200f)");
  CHECK(printable("\xE2\x80\xA8\xE2\x80\xA9\xD8\x9C") == R"(\u2028\u2029\u061c)");
  // No UTF-8: a byte alone, a cut sequence, a surrogate, an overlong form, what is past U+10FFFF.
  CHECK(printable("\xFF.png") == R"(\xff.png)");
  CHECK(printable("a\xE2\x98") == R"(a\xe2\x98)");
  CHECK(printable("\xED\xA0\x80") == R"(\xed\xa0\x80)");
  CHECK(printable("\xC0\x8A") == R"(\xc0\x8a)");
  CHECK(printable("\xF4\x90\x80\x80") == R"(\xf4\x90\x80\x80)");
  CHECK(printable(printable("\x1b\xFF")) == printable("\x1b\xFF"));
}

TEST_CASE("one_line: at most 300 characters, cut in the middle and never inside one") {
  CHECK(one_line("") == "");
  CHECK(one_line(repeated("x", 300)) == repeated("x", 300));
  for (const char* unit : {"x", "\xC3\xA4", "\xE2\x98\x83", "\xF0\x9F\x98\x80", "\x1b", "\xFF"})
    for (const int times : {75, 299, 300, 301, 1000, 5000}) {
      const std::string line = one_line("begin" + repeated(unit, times) + "end");
      CHECK(characters(line) <= 300);
      CHECK(line.starts_with("begin"));
      CHECK(line.ends_with("end"));
      CHECK((line.find("...") != std::string::npos) ==
            (characters(printable("beginend" + repeated(unit, times))) > 300));
      CHECK(printable(line) == line);
    }
  CHECK(characters(Error(repeated("\xC3\xA4", 500)).what()) == 300);
}

TEST_CASE("messages never fail and never end the process, wherever they go") {
  const int full = open("/dev/full", O_WRONLY), unreadable = broken_pipe(),
            closed = open("/dev/null", O_RDONLY);
  for (const int descriptor : {full, unreadable, closed}) {
    CHECK(status_of_child(STDERR_FILENO, descriptor, [] {
            for (int i = 0; i < 3; i++) say("message {}", i);
            return 7;
          }) == 7);
    close(descriptor);
  }
  const TemporaryFolder folder;
  const int file = open((folder / "said").c_str(), O_CREAT | O_WRONLY, 0666);
  CHECK(status_of_child(STDERR_FILENO, file, [] {
          say("a {}", "\n\x1b");
          say_whole(repeated("y", 500));
          say_line(repeated("z", 500));
          return 0;
        }) == 0);
  close(file);
  CHECK(read_bytes(folder / "said") == "a \\n\\x1b\n" + repeated("y", 500) + '\n' +
                                           repeated("z", 150) + "..." + repeated("z", 147) + '\n');
}

TEST_CASE("results arrive or are an error") {
  const auto print_all = [](int lines) {
    return [lines] {
      try {
        for (int i = 0; i < lines; i++) print_line("{} {}", "r\ne\x1bsult", i);
        print_text("two\nlines\x1b\n");
        finish_output();
        return 0;
      } catch (const Error& error) {
        return std::string(error.what()).starts_with("cannot write the result to standard output: ")
                   ? 1
                   : 2;
      }
    };
  };
  const TemporaryFolder folder;
  const int file = open((folder / "out").c_str(), O_CREAT | O_WRONLY, 0666);
  CHECK(status_of_child(STDOUT_FILENO, file, print_all(1)) == 0);
  close(file);
  CHECK(read_bytes(folder / "out").ends_with("r\\ne\\x1bsult 0\ntwo\nlines\\x1b\n"));
  for (const int lines : {1, 100000}) {  // noticed at the end, and before
    const int full = open("/dev/full", O_WRONLY), closed = open("/dev/null", O_RDONLY),
              unread = broken_pipe();
    CHECK(status_of_child(STDOUT_FILENO, full, print_all(lines)) == 1);
    CHECK(status_of_child(STDOUT_FILENO, closed, print_all(lines)) == 1);
    CHECK(status_of_child(STDOUT_FILENO, unread, print_all(lines)) == -SIGPIPE);
    for (const int descriptor : {full, closed, unread}) close(descriptor);
  }
}

TEST_CASE("what stands out is bold where that shows, and leaves no byte elsewhere") {
  const std::string text =
      std::string("a\n") + kBold + "best\nrow" + kPlain + " b\x1b" + kBold + "c";
  CHECK(styled(text, true) == "a\n\x1b[1mbest\nrow\x1b[0m b\\x1b\x1b[1mc");
  CHECK(styled(text, false) == "a\nbest\nrow b\\x1bc");
  CHECK(styled("", true).empty());
}

}  // namespace lookalike
