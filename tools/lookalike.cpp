// lookalike: trains, evaluates and uses Siamese networks. Exit status 0 only when the thing asked for was done.
#include <exception>
#include <memory>
#include <new>
#include <sstream>

#include "engine/core/error.h"
#include "engine/core/output.h"
#include "tools/commands.h"

namespace {

int refuse(const std::string& message) {
  lookalike::say("lookalike: {}", message);
  return 1;
}

// The words of --help and --version, else nothing.
std::string asked_for(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream words, ignored;
  if (error.get_exit_code() == 0) app.exit(error, words, ignored);
  return words.str();
}

}  // namespace

int main(int argc, char** argv) {
  lookalike::open_standard_files();
  CLI::App app{"Siamese networks that learn which images look alike.", "lookalike"};
  app.formatter(std::make_shared<lookalike::HelpFormatter>());
  app.set_help_flag("-h,--help", "Print this");
  app.set_version_flag("--version", LOOKALIKE_VERSION, "Print the version");
  app.require_subcommand(1);
  app.footer(
      "lookalike train --data DIR --out runs/mine      train on your own pictures\n"
      "lookalike evaluate runs/mine/model.safetensors --data DIR\n"
      "lookalike train --help                          every command has its help");
  lookalike::add_data_command(app);
  lookalike::add_train_command(app);
  lookalike::add_recipes_command(app);
  lookalike::add_evaluate_command(app);
  lookalike::add_embed_command(app);
  lookalike::add_compare_command(app);
  lookalike::add_weights_command(app);
  try {
    std::string help = argc == 1 ? app.help() : "";
    try {
      if (help.empty()) app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      help = asked_for(app, error);
      if (help.empty()) return refuse(lookalike::explain(app, error));
    }
    lookalike::print_text(help);
    lookalike::finish_output();
    return 0;
  } catch (const std::bad_alloc&) {
    return refuse("not enough memory");
  } catch (const std::exception& error) {
    return refuse(error.what());
  }
}
