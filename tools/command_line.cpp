#include "tools/command_line.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include <fmt/ranges.h>

#include "engine/core/error.h"
#include "engine/core/options.h"

namespace lookalike {
namespace {

constexpr size_t kWidth = 80, kColumn = 24;  // of a line, and where descriptions begin

// Words in lines that begin with `indent` spaces; the first line has `used` columns already.
std::string wrap(const std::string& text, size_t indent, size_t used) {
  std::istringstream words(text);
  words.exceptions(std::ios::badbit);  // else a lack of memory would end the text early
  std::string result;
  size_t column = used;
  bool begins = true;  // a line
  for (std::string word; words >> word; begins = false) {
    if (!begins && column + 1 + word.size() > kWidth) {
      result += '\n' + std::string(indent, ' ');
      column = indent;
    } else if (!begins) {
      result += ' ';
      column++;
    }
    result += word;
    column += word.size();
  }
  return result + '\n';
}

// "  --data DIR           Folder with ..."
std::string entry(const std::string& left, const std::string& description) {
  std::string line = "  " + left;
  if (line.size() + 2 > kColumn) line += '\n' + std::string(kColumn, ' ');
  if (line.size() < kColumn) line.resize(kColumn, ' ');
  return line + wrap(description, kColumn, kColumn);
}

// "lookalike data split"
std::string path_of(const CLI::App* command) {
  const CLI::App* parent = command->get_parent();
  return parent ? path_of(parent) + ' ' + command->get_name() : command->get_name();
}

// "--data DIR", "MODEL", "INPUT..."
std::string form_of(const CLI::Option* option) {
  const std::string more = option->get_items_expected_max() > 3 && option->get_positional() ? "..." : "";
  if (option->get_positional()) return option->get_name(true) + more;
  std::string names = fmt::format("--{}", fmt::join(option->get_lnames(), ", --"));
  if (!option->get_snames().empty()) names = fmt::format("-{}, {}", fmt::join(option->get_snames(), ", -"), names);
  return option->get_items_expected_max() == 0 ? names : names + ' ' + option->get_type_name();
}

std::vector<const CLI::App*> commands_of(const CLI::App* command) {
  return command->get_subcommands([](const CLI::App*) { return true; });
}

std::string usage_of(const CLI::App* command) {
  std::string text;
  bool optional = false;
  for (const CLI::Option* option : command->get_options()) {
    if (option->get_positional() || option->get_required())
      text += option->get_required() ? ' ' + form_of(option) : " [" + form_of(option) + ']';
    else
      optional |= option != command->get_help_ptr();
  }
  if (!commands_of(command).empty()) return text + " COMMAND ...";
  return text + (optional ? " [options]" : "");
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

std::string shown(const std::string& text) {
  return text.empty() ? "''" : text;
}

}  // namespace

std::string HelpFormatter::make_help(const CLI::App* command, std::string, CLI::AppFormatMode) const {
  const std::string usage = "Usage: " + path_of(command);
  std::string text = wrap(command->get_description(), 0, 0) + '\n';
  text += wrap(usage + usage_of(command), std::min(usage.size() + 1, kColumn), 0);
  if (const auto commands = commands_of(command); !commands.empty()) {
    text += "\nCommands:\n";
    for (const CLI::App* one : commands) text += entry(one->get_name(), one->get_description());
  }
  std::string positionals;
  for (const CLI::Option* option : command->get_options()) {
    if (option->get_positional()) positionals += entry(form_of(option), option->get_description());
  }
  if (!positionals.empty()) text += '\n' + positionals;
  for (const std::string& group : command->get_groups()) {
    std::string options;
    for (const CLI::Option* option : command->get_options()) {
      if (option->get_positional() || option->get_group() != group) continue;
      const std::string value = option->get_default_str();
      options += entry(form_of(option), option->get_description() + (value.empty() ? "" : " [" + value + "]"));
    }
    if (!options.empty()) text += fmt::format("\n{}:\n{}", group, options);
  }
  if (command->get_footer().empty()) return text;
  text += "\nExample:\n";
  std::istringstream lines(command->get_footer());
  lines.exceptions(std::ios::badbit);
  for (std::string line; std::getline(lines, line);) text += "  " + line + '\n';
  return text;
}

std::string explain(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  const std::string see = fmt::format(" ({} --help)", path_of(command));
  const std::string where = command == &app ? "" : path_of(command).substr(app.get_name().size() + 1) + ": ";
  std::vector<std::string> commands, options;
  for (const CLI::App* one : commands_of(command)) commands.push_back(one->get_name());
  for (const CLI::Option* option : command->get_options())
    for (const std::string& name : option->get_lnames()) options.push_back("--" + name);

  if (const auto extra = command->remaining(); !extra.empty()) {
    const std::string word = extra[0].substr(0, extra[0].find('='));
    if (word.starts_with("-") && word.size() > 1)
      return fmt::format("{}no option {}{}{}", where, word, suggestion(word, options), see);
    if (!commands.empty()) return fmt::format("{}no command '{}'{}{}", where, word, suggestion(word, commands), see);
    return fmt::format("{}'{}' is one argument too many{}", where, extra[0], see);
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error)) {
    if (!commands.empty()) return fmt::format("{}expected one of {}{}", where, fmt::join(commands, ", "), see);
    std::vector<std::string> missing;
    for (const CLI::Option* option : command->get_options())
      if (option->get_required() && option->count() == 0) missing.push_back(form_of(option));
    if (!missing.empty())
      return fmt::format("{}expected {}, as in: {}", where, fmt::join(missing, " and "),
                         first_line(command->get_footer()));
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error)) {
    for (const CLI::Option* option : command->get_options()) {
      if (!std::string(error.what()).starts_with(option->get_name() + ":")) continue;
      const int expected = option->get_items_expected_min();
      return fmt::format("{}{}: expected {} value{}, not {}{}", where, form_of(option), expected,
                         expected == 1 ? "" : "s", option->results().size(), see);
    }
  }
  return fmt::format("{}{}{}", where, error.what(), see);
}

CLI::Option* whole_number(CLI::Option* option, int64_t low, int64_t high) {
  return option->check([=](const std::string& text) {
    int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    const bool whole = error == std::errc() && stop == end;
    if (whole && value >= low && value <= high) return std::string();
    fail("{} is {}, expected {}from {} to {}", option->get_name(), shown(text),
         whole ? "" : "a whole number, ", low, high);
  });
}

CLI::Option* number(CLI::Option* option, double low, double high) {
  return option->check([=](const std::string& text) {
    double value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    check(error == std::errc() && stop == end && value >= low && value <= high,
          "{} is {}, expected a number from {} to {}", option->get_name(), shown(text), low, high);
    return std::string();
  });
}

CLI::Option* one_of(CLI::Option* option, const std::vector<std::string>& words) {
  return option->type_name(fmt::format("{}", fmt::join(words, "|")))->check([=](const std::string& text) {
    check(std::ranges::find(words, text) != words.end(), "{} is {}, expected {}", option->get_name(), shown(text),
          fmt::join(words, words.size() == 2 ? " or " : ", "));
    return std::string();
  });
}

std::string in_lines(const std::string& sentence) {
  return wrap(printable(sentence), 0, 0);
}

}  // namespace lookalike
