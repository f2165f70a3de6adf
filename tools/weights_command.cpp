// lookalike weights inspect FILE: what a file of weights holds, read from its header alone.
#include <algorithm>
#include <memory>
#include <sstream>
#include <string>

#include <fmt/format.h>

#include "engine/io/safetensors.h"
#include "tools/commands.h"

namespace lookalike {
namespace {

// A file's text without the control characters that a terminal would obey.
std::string printable(std::string text) {
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < 32 || c == 127; }, '?');
  return text;
}

void inspect(const std::string& path) {
  const SafetensorsHeader header = read_safetensors_header(path);
  size_t name_width = 0, shape_width = 0;
  int64_t elements = 0, bytes = 0;
  for (const auto& [name, entry] : header.tensors) {
    name_width = std::max(name_width, name.size());
    shape_width = std::max(shape_width, entry.shape.to_string().size());
    elements += entry.shape.size();
    bytes += entry.end - entry.begin;
  }
  for (const auto& [name, entry] : header.tensors)
    fmt::print("{:<{}}  {:<{}}  {}\n", printable(name), name_width, entry.shape.to_string(), shape_width, entry.dtype);
  fmt::print("{} tensors, {} elements, {} bytes\n", header.tensors.size(), elements, bytes);

  if (header.metadata.empty()) return;
  fmt::print("\nmetadata\n");
  for (const auto& [key, text] : header.metadata) {
    if (text.find('\n') == std::string::npos) {
      fmt::print("  {}: {}\n", printable(key), printable(text));
      continue;
    }
    fmt::print("  {}:\n", printable(key));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) fmt::print("    {}\n", printable(line));
  }
}

}  // namespace

void add_weights_command(CLI::App& app) {
  CLI::App* weights = app.add_subcommand("weights", "Look into files of weights");
  weights->require_subcommand(1);
  CLI::App* command = weights->add_subcommand("inspect", "List the tensors and the metadata of a safetensors file");
  auto path = std::make_shared<std::string>();
  command->add_option("FILE", *path, "a .safetensors file")->required();
  command->callback([path] { inspect(*path); });
}

}  // namespace lookalike
