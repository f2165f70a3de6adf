#include "tools/output_files.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <span>
#include <sstream>
#include <string_view>
#include <system_error>

#include "engine/core/error.h"
#include "engine/io/atomic_file.h"
#include "engine/io/input_file.h"
#include "engine/report/page.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

using namespace std::string_view_literals;

constexpr int64_t kHead = 1 << 16;  // bytes that tell what a file is

bool has_header(std::string_view head, std::string_view header) {
  head.remove_prefix(head.starts_with("\xEF\xBB\xBF") ? 3 : 0);
  if (!head.starts_with(header)) return false;
  head.remove_prefix(header.size());
  return head.empty() || head[0] == '\n' || head.starts_with("\r\n");
}

// Whether the first row below a header left,c0,... is a score in each cell: numbers, not all whole.
bool has_scores(const std::string& head) {
  std::istringstream lines(head);
  lines.exceptions(std::ios::badbit);  // streams keep quiet on a lack of memory
  std::string row, cell;
  std::getline(lines, row), std::getline(lines, row);
  std::istringstream cells(row);
  cells.exceptions(std::ios::badbit);
  bool fraction = false;
  for (std::getline(cells, cell, ','); std::getline(cells, cell, ',');) {
    double value = 0;
    const char* end = cell.data() + cell.size();
    const auto [stop, error] = std::from_chars(cell.data(), end, value);
    if (error != std::errc() || (stop != end && *stop != '\r')) return false;
    fraction |= cell.find_first_of(".en") != std::string::npos;
  }
  return fraction;
}

// What evaluate's results begin with, and what those of earlier versions did, pairs' and classes'.
bool begins_as_results(std::string_view head) {
  if (head.starts_with("{\n  \"schema\": 1,\n  \"result\": \"evaluate\"")) return true;
  constexpr std::array kFirst{"model"sv, "baselines"sv, "one_shot"sv, "classes"sv};
  return head.starts_with("{\n  \"") && std::ranges::any_of(kFirst, [&](std::string_view key) {
           const std::string_view rest = head.substr(std::min(head.size(), 5 + key.size()));
           return head.substr(5).starts_with(key) && (rest.starts_with("\": {\n") || rest.starts_with("\": [\n"));
         });
}

bool is_tensors(const std::string& head) {
  return head.size() > 8 && head[8] == '{' && head.substr(5, 3) == "\0\0\0"sv;
}
// Metadata comes first in what this program writes.
bool is_of_index(const std::string& head) {
  return head.find("\"format\":\"lookalike-index-") != std::string::npos;
}

bool is_kind(FileKind kind, const std::string& head) {
  const auto begins = [&](std::string_view text) { return head.starts_with(text); };
  switch (kind) {
    case FileKind::npy:
      return begins("\x93NUMPY");
    case FileKind::names:
      return head.find('\0') == std::string::npos;
    case FileKind::json:
      return begins_as_results(head);
    case FileKind::svg:
      return begins("<svg");
    case FileKind::safetensors:
      return is_tensors(head) && !is_of_index(head);
    case FileKind::html:
      return begins(kPageBeginning);
    case FileKind::index:
      return is_tensors(head) && is_of_index(head);
    case FileKind::candidates:
      return begins("left,c0,") && !has_scores(head);
    case FileKind::scores:
      return begins("left,c0,") && has_scores(head);
    case FileKind::part:
      return has_header(head, "left,right") || has_header(head, "image");
    case FileKind::recipe:
      return head.find("[model]\n") != std::string::npos;
    case FileKind::metrics:
      return begins("{\"active_share\":");
  }
  return false;
}

const char* words_of(FileKind kind) {
  switch (kind) {
    case FileKind::npy:
      return "a NumPy array (.npy)";
    case FileKind::names:
      return "a list of file names";
    case FileKind::json:
      return "results of evaluate (JSON)";
    case FileKind::svg:
      return "an SVG picture";
    case FileKind::safetensors:
      return "a model (.safetensors)";
    case FileKind::candidates:
      return "candidates (CSV, left,c0,...)";
    case FileKind::scores:
      return "scores (CSV, left,c0,...)";
    case FileKind::part:
      return "a part of a data set (CSV, left,right or image)";
    case FileKind::recipe:
      return "a recipe (TOML)";
    case FileKind::metrics:
      return "a run's metrics";
    case FileKind::index:
      return "an index";
    case FileKind::html:
      return "a page of this program (HTML)";
  }
  return "";
}

bool is_same_file(const fs::path& a, const fs::path& b) {
  std::error_code none;
  return fs::equivalent(a, b, none);
}

// The same where they are not there yet.
bool will_be_same_file(const fs::path& a, const fs::path& b) {
  const auto place = [&](const fs::path& path) {
    return fs::weakly_canonical(fs::absolute(without_links(path)));
  };
  return is_same_file(a, b) || place(a) == place(b);
}

std::string head_of(const std::string& path) {
  const InputFile file(path);
  std::string head(std::min(file.size(), kHead), '\0');
  file.read(0, head.data(), std::ssize(head));
  return head;
}

void check_one(const NamedOutput& output) {
  std::error_code none;
  if (!fs::exists(output.path, none)) return;
  check(fs::is_regular_file(output.path, none), "{}: cannot write '{}': it is not a regular file",
        output.option, output.path);
  const std::string head = head_of(output.path);
  bool own_kind = is_kind(output.kind, head);
  if (output.kind == FileKind::names) {
    // Any text could be one: it is where the array FILE stands beside its FILE.txt.
    const std::string array = fs::path(output.path).replace_extension();
    own_kind = own_kind && fs::is_regular_file(array, none) && is_kind(FileKind::npy, head_of(array));
  }
  check(head.empty() || own_kind,
        "{}: '{}' is there and is not {}, expected one or a new file", output.option, output.path,
        words_of(output.kind));
}

}  // namespace

bool begins_as(FileKind kind, const std::string& path) {
  std::error_code none;
  return fs::is_regular_file(path, none) && is_kind(kind, head_of(path));
}

void check_replaced(const std::vector<NamedOutput>& outputs,
                    const std::vector<NamedInput>& inputs) {
  for (size_t i = 0; i < outputs.size(); i++) {
    const auto& [option, path, kind] = outputs[i];
    if (path.empty()) continue;
    for (const NamedInput& input : inputs)
      check(input.path.empty() || !is_same_file(path, input.path),
            "{}: '{}' is {}, which is read; expected another file", option, path, input.option);
    for (const NamedOutput& other : std::span(outputs).first(i))
      check(other.path.empty() || !will_be_same_file(path, other.path),
            "{}: '{}' is that of {} already, expected another file", option, path, other.option);
    check_one(outputs[i]);
  }
}

void check_outputs(const std::vector<NamedOutput>& outputs, const std::vector<NamedInput>& inputs) {
  check_replaced(outputs, inputs);
  for (const NamedOutput& output : outputs) check_can_write(output.path);
}

CLI::Option* output_name(CLI::Option* option) {
  return option->check([=](const std::string& text) {
    check(!text.empty() && text != "-", "{} is '{}', expected the name of a {} to write",
          option->get_name(), text,
          option->get_type_name().find("FILE") != std::string::npos ? "file" : "folder");
    return std::string();
  });
}

}  // namespace lookalike
