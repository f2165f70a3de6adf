// lookalike: trains, evaluates and uses Siamese networks. Exit status 0 only when the thing asked for was done.
#include <cstdio>
#include <exception>

#include "engine/core/error.h"
#include "tools/commands.h"

int main(int argc, char** argv) {
  CLI::App app{"Siamese networks that learn which images look alike.", "lookalike"};
  app.require_subcommand(1);
  app.set_version_flag("--version", LOOKALIKE_VERSION);
  lookalike::add_data_command(app);
  lookalike::add_train_command(app);
  lookalike::add_evaluate_command(app);
  lookalike::add_embed_command(app);
  lookalike::add_compare_command(app);
  lookalike::add_weights_command(app);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    fmt::print(stderr, "lookalike: {} (see --help)\n", error.what());
    return 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "lookalike: {}\n", error.what());
    return 1;
  }
}
