// What a command may write over. An output is a new file, or replaces one of its own kind, told by
// how that one begins; it is never one of the files that the command reads, nor another of its
// outputs.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace lookalike {

enum class FileKind {
  npy,
  names,
  json,
  svg,
  safetensors,
  candidates,
  scores,
  part,
  recipe,
  metrics,
  index,
  html
};

// `option`: what asks for the file, as messages have it ("--json"). Without a path there is none.
struct NamedOutput {
  std::string option, path;
  FileKind kind;
};
struct NamedInput {
  std::string option, path;
};

// Whether `path` is a file that begins as those of the kind do.
bool begins_as(FileKind kind, const std::string& path);

// Error that names option and file unless all outputs can be written and may be. For commands to
// call before any work. Inputs that are not there, and folders, are fine: they have errors of
// their own.
void check_outputs(const std::vector<NamedOutput>& outputs, const std::vector<NamedInput>& inputs);
// The same without a look at whether the folder of an output can be written: it may be made later.
void check_replaced(const std::vector<NamedOutput>& outputs, const std::vector<NamedInput>& inputs);

// The option takes the name of a file or folder to write: any text but none and "-".
CLI::Option* output_name(CLI::Option* option);

}  // namespace lookalike
