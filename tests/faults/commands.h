// The commands that the fault driver runs, and the tiny data they run on.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace lookalike::faults {

struct Command {
  std::string name;
  std::vector<std::string> arguments;
  std::string before = {};              // the arguments' folder out/ begins as a copy of this one
  bool training = false;                // whose run folder fills step by step
  bool together = false;                // writes files that stand together or not at all
  std::vector<std::string> go_on = {};  // the command that brings what is left to the end

  // What it cannot read it may leave out, and say so.
  bool leaves_out() const {
    return std::ranges::count(arguments, "--skip-corrupt") > 0 ||
           std::ranges::count(arguments, "--html") > 0;
  }
  // A line on stderr that need not be the last.
  bool explains(const std::string& line) const {
    return leaves_out() &&
           (line.starts_with("skipped: ") || line.find(" chose its epoch") != line.npos ||
            line.find(" is ranked among all ") != line.npos ||
            line.find(": passed over ") != line.npos);
  }
};

// Writes, under `root`, the folder in/ of which all commands read, and old/ with what is there
// before a command begins (Command::before); `program` makes the part that is its own output. Ends
// the process, saying why, where that does not work.
void make_inputs(const std::filesystem::path& root, const std::filesystem::path& program);

// Every command of the program; they run in a folder two levels below `root`.
std::vector<Command> list_commands();

// A file as a whole; "" where there is none.
std::string contents(const std::filesystem::path& path);
void put(const std::filesystem::path& path, std::string_view bytes);

}  // namespace lookalike::faults
