// The subcommands of the binary. Each lives in one thin file, tools/<name>_command.cpp: options in, one call into the
// engine, result out.
#pragma once

#include <CLI/CLI.hpp>

namespace lookalike {

void add_data_command(CLI::App& app);
void add_train_command(CLI::App& app);
void add_evaluate_command(CLI::App& app);
void add_embed_command(CLI::App& app);
void add_weights_command(CLI::App& app);

}  // namespace lookalike
