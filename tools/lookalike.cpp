// lookalike: trains, evaluates and uses Siamese networks. Exit status 0 only when the thing asked for was done.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>

#include <execinfo.h>
#include <unistd.h>

#include "engine/core/error.h"
#include "engine/core/resources.h"
#include "tools/commands.h"

namespace {

// What can be said where there is no memory left to put words together.
int refuse_for_memory() noexcept {
  constexpr char kLine[] = "lookalike: not enough memory\n";
  std::fflush(stderr);
  [[maybe_unused]] const ssize_t told = write(STDERR_FILENO, kLine, std::strlen(kLine));
  return 1;
}

int refuse(std::string_view text) {
  std::string message(text);
  std::ranges::replace(message, '\n', ' ');  // one line, whatever a file is called
  fmt::print(stderr, "lookalike: {}\n", message);
  return 1;
}

std::atomic<bool> memory_ran_out = false;

[[noreturn]] void note_lack_of_memory() {
  memory_ran_out = true;
  throw std::bad_alloc();
}

// Functions of libraries that must not throw ask for memory all the same, such as the destructor of nlohmann::json and
// std::filesystem::directory_iterator::increment: where they get none, the program ends here. What was thrown cannot be
// asked for: GCC calls this while it unwinds, before anything is caught.
[[noreturn]] void end_for_memory() {
  if (memory_ran_out) _exit(refuse_for_memory());
  std::abort();
}

int run(int argc, char** argv) {
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
  }
}

}  // namespace

int main(int argc, char** argv) try {
  std::set_new_handler(note_lack_of_memory);
  std::set_terminate(end_for_memory);
  // glibc loads what it ends threads with, as the OpenMP runtime has it, when it first needs it, and aborts where there is
  // no memory for that; this has it loaded now.
  void* frame;
  backtrace(&frame, 1);
  try {
    return run(argc, argv);
  } catch (const lookalike::OutOfMemory& error) {
    return refuse(error.what());
  } catch (const std::bad_alloc&) {
    return refuse_for_memory();
  } catch (const std::exception& error) {
    return refuse(error.what());
  }
} catch (const std::bad_alloc&) {
  return refuse_for_memory();
}
