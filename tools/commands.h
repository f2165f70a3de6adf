// The subcommands of the binary. Each lives in one thin file, tools/<name>_command.cpp: options in, one call into the
// engine, result out.
#pragma once

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "engine/core/device.h"
#include "engine/core/output.h"
#include "tools/command_line.h"

namespace lookalike {

void add_data_command(CLI::App& app);
void add_train_command(CLI::App& app);
void add_recipes_command(CLI::App& app);
void add_evaluate_command(CLI::App& app);
void add_embed_command(CLI::App& app);
void add_weights_command(CLI::App& app);
void add_compare_command(CLI::App& app);
void add_index_command(CLI::App& app);
void add_search_command(CLI::App& app);
void add_duplicates_command(CLI::App& app);
void add_calibrate_command(CLI::App& app);

// All of them, of which a command line names one, and their help.
inline void add_commands(CLI::App& app) {
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag("-h,--help", "Print this");
  app.require_subcommand(1);
  for (const auto add : {add_data_command, add_train_command, add_recipes_command, add_evaluate_command,
                         add_embed_command, add_index_command, add_search_command,
                         add_duplicates_command, add_calibrate_command, add_compare_command, add_weights_command})
    add(app);
}

// --device, --precision, --conv and --exact-conv of the commands that run a network.
struct ComputeArguments {
  std::string device = "cpu", precision = "fp32", conv = "native";
  bool exact_conv = false;

  void add_to(CLI::App& command) {
    const auto add = [&](const char* name, std::string& value, const std::vector<std::string>& values,
                         const char* help) {
      one_of(command.add_option(name, value, help), values)->capture_default_str();
    };
    add("--device", device, {"cpu", "cuda"}, "What computes");
    add("--precision", precision, {"fp32", "tf32", "bf16"}, "Arithmetic; tf32 and bf16 on the GPU alone");
    add("--conv", conv, {"native", "cudnn"}, "Whose convolutions; cudnn on the GPU alone");
    command.add_flag("--exact-conv", exact_conv, "Sum convolutions as they are written, without Winograd on the CPU")
        ->excludes("--conv");
  }
  Compute parse() const { return parse_compute(device, precision, exact_conv ? "exact" : conv); }
};

// --skip-corrupt of the commands that read images.
inline void add_skip_option(CLI::App& command, bool& skip_corrupt) {
  command.add_flag("--skip-corrupt", skip_corrupt, "Leave out images that are missing or can't be read, and say which");
}

inline void report_skipped(const std::vector<std::string>& skipped) {
  for (const std::string& line : skipped) say("skipped: {}", line);
}

// --center of the commands that use embeddings.
inline void add_center_option(CLI::App& command, std::string& center) {
  command
      .add_option(
          "--center", center,
          "Subtract the mean embedding of these images: a folder, a CSV file of pairs, or the mean stored in a model")
      ->type_name("IMAGES");
}

}  // namespace lookalike
