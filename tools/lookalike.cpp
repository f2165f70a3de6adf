// lookalike: trains, evaluates and uses Siamese networks. Exit status 0 only when the thing asked for was done.
#include <atomic>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <new>
#include <sstream>
#include <typeinfo>

#include <cxxabi.h>
#include <execinfo.h>
#include <unistd.h>

#include "engine/core/error.h"
#include "engine/core/output.h"
#include "engine/core/resources.h"
#include "engine/io/claim.h"
#include "tools/commands.h"

namespace {

// What can be said where there is no memory left to put words together.
int refuse_for_memory() noexcept {
  lookalike::write_to_stderr("lookalike: not enough memory\n");
  return 1;
}

int refuse(const char* message) noexcept try {
  lookalike::write_to_stderr(lookalike::one_line(fmt::format("lookalike: {}", message)) + '\n');
  return 1;
} catch (const std::bad_alloc&) {
  return refuse_for_memory();
}

std::atomic<bool> memory_ran_out = false;

[[noreturn]] void note_lack_of_memory() {
  memory_ran_out = true;
  throw std::bad_alloc();
}

// Functions of libraries that must not throw ask for memory all the same, such as the destructor of
// nlohmann::json and std::filesystem::directory_iterator::increment: where they get none, the
// program ends here. What was thrown cannot be asked for: GCC calls this while it unwinds, before
// anything is caught.
[[noreturn]] void end_for_memory() {
  const std::type_info* thrown = abi::__cxa_current_exception_type();
  if (!memory_ran_out && (!thrown || *thrown != typeid(lookalike::OutOfMemory))) std::abort();
  lookalike::Claim::remove_all();
  _exit(refuse_for_memory());
}

// The words of --help and --version, else nothing.
std::string asked_for(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream words, ignored;
  words.exceptions(std::ios::badbit);  // streams keep quiet on a lack of memory
  if (error.get_exit_code() == 0) app.exit(error, words, ignored);
  return words.str();
}

int run(int argc, char** argv) {
  CLI::App app{"Siamese networks that learn which images look alike.", "lookalike"};
  app.set_version_flag("--version", LOOKALIKE_VERSION, "Print the version");
  app.footer(
      "lookalike train --data DIR --out runs/mine      train on your own pictures\n"
      "lookalike evaluate runs/mine/model.safetensors --data DIR\n"
      "lookalike train --help                          every command has its help");
  lookalike::add_commands(app);
  std::string help = argc == 1 ? app.help() : "";
  try {
    if (help.empty()) app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    help = asked_for(app, error);
    if (help.empty()) return refuse(lookalike::explain(app, error).c_str());
  }
  lookalike::print_text(help);
  lookalike::finish_output();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  lookalike::open_standard_files();
  std::set_new_handler(note_lack_of_memory);
  std::set_terminate(end_for_memory);
  // glibc loads what it ends threads with, as the OpenMP runtime has it, when it first needs it,
  // and aborts where there is no memory for that; this has it loaded now.
  void* frame;
  backtrace(&frame, 1);
  try {
    return run(argc, argv);
  } catch (const lookalike::OutOfMemory& error) {
    return refuse(error.what());
  } catch (const std::bad_alloc&) {
    return refuse_for_memory();
  } catch (const std::filesystem::filesystem_error& error) {
    return refuse(fmt::format("'{}': {}", error.path1().string(), error.code().message()).c_str());
  } catch (const std::exception& error) {
    return refuse(error.what());
  }
}
