// How words reach people: results on standard output, which must arrive, and messages on standard
// error, which must never stand in the way of the work. Nothing else prints. Text from files is
// printable(), and a message is one_line().
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "engine/core/error.h"

namespace lookalike {

// Opens /dev/null for those of standard input, output and error that are closed, so that no file
// lands in their place; what is then written to standard output fails as it would have. A file that
// grows past the limit of `ulimit -f` becomes a failed write instead of the end of the process.
// Called first.
void open_standard_files();

// A line of the result. Error when standard output cannot be written; a pipe whose reader has gone
// ends the process, as is usual (SIGPIPE).
void print_one(std::string_view line);
template <class... Args>
void print_line(fmt::format_string<Args...> format, Args&&... args) {
  print_one(fmt::format(format, std::forward<Args>(args)...));
}
// Lines of the result that are formatted already.
void print_text(std::string_view lines);
// What was printed so far reaches whoever reads it. Error where it cannot.
void flush_output();
// Around what stands out on a terminal, in text for print_styled(). Text from files is printable()
// before it is put beside them, so that no file can hold them.
constexpr char kBold = '\x01', kPlain = '\x02';
// The text with what stands out in bold, or as all else.
std::string styled(std::string_view lines, bool bold);
// Lines of the result, in bold where marked if they go to a terminal that shows it (TERM is not
// dumb) and nobody has set NO_COLOR; into files and pipes as if there were no marks.
void print_styled(std::string_view lines);
// Error unless all of the result has arrived. Called last: standard output is closed by it.
void finish_output();

// Bytes to standard error as they are. That they cannot be written is nobody's concern, a pipe
// whose reader has gone included.
void write_to_stderr(std::string_view bytes) noexcept;
// A message, one line of at most 300 characters.
void say_line(std::string_view line) noexcept;
template <class... Args>
void say(fmt::format_string<Args...> format, Args&&... args) noexcept {
  try {
    say_line(fmt::format(format, std::forward<Args>(args)...));
  } catch (...) {
    say_line("not enough memory for a message");
  }
}
// The same of any length: a command to be copied.
void say_whole(std::string_view line) noexcept;

}  // namespace lookalike
