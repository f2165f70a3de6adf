// The command line: parsed, not run.
#include <algorithm>
#include <sstream>

#include "tests/fuzz/target.h"
#include "tools/commands.h"

namespace lookalike {
namespace {

struct Parsed {};

// Does not get as far as running a command.
class Parser : public CLI::App {
 public:
  using CLI::App::App;
  void pre_callback() override { throw Parsed(); }
};

CLI::App& application() {
  static Parser app("Siamese networks", "lookalike");
  static const bool added = (add_commands(app), true);
  static_cast<void>(added);
  return app;
}

}  // namespace

// Arguments, a line each.
FUZZ_TARGET(command_line) {
  std::vector<std::string> words;
  while (!bytes.empty()) words.emplace_back(take_part(bytes, '\n'));
  std::reverse(words.begin(), words.end());  // as CLI11 takes them
  CLI::App& app = application();
  try {
    app.parse(words);
  } catch (const Parsed&) {
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    if (error.get_exit_code() == 0)
      require(app.exit(error, out, out) == 0 && out.str().find("Usage: ") != std::string::npos, "help");
    else
      require_short_line(Error(explain(app, error)));
  }
}

}  // namespace lookalike
