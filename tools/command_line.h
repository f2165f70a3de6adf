// What is said of a command line: help within 80 columns, and one line on what is wrong with it.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace lookalike {

// Every command and its options, each with its type, default and description, wrapped between
// words. A command's footer is its examples, a line each.
class HelpFormatter : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* command, std::string name, CLI::AppFormatMode mode) const override;
};

// One line on why the command line was refused: the nearest command or option, or what is missing,
// with an example.
std::string explain(const CLI::App& app, const CLI::ParseError& error);

// The option takes whole numbers from `low` to `high` alone, or numbers; any other text is an Error
// that says so.
CLI::Option* whole_number(CLI::Option* option, int64_t low, int64_t high);
CLI::Option* number(CLI::Option* option, double low, double high);
// The option takes these words alone, which its help lists.
CLI::Option* one_of(CLI::Option* option, const std::vector<std::string>& words);

// A sentence for people, broken between words into lines of at most 80 columns; a word that is longer alone, such as a path, has a line of its own.
std::string in_lines(const std::string& sentence);

}  // namespace lookalike
