// lookalike: trains, evaluates and uses Siamese networks. Exit status 0 only when the thing asked for was done.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>

#include "engine/core/error.h"
#include "tools/commands.h"

namespace {

int refuse(std::string message) {
  std::ranges::replace(message, '\n', ' ');  // one line, whatever a file is called
  fmt::print(stderr, "lookalike: {}\n", message);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
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
  if (argc == 1) {
    fmt::print("{}", app.help());
    return 0;
  }
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return refuse(lookalike::explain(app, error));
  } catch (const std::bad_alloc&) {
    return refuse("not enough memory");
  } catch (const std::exception& error) {
    return refuse(error.what());
  }
}
