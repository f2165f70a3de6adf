// Hands the kept corpus, a folder of files for each target, to the targets: what libFuzzer found
// stays tested where there is no libFuzzer.
#include <algorithm>
#include <exception>
#include <vector>

#include "tests/fuzz/target.h"
#include "tests/temporary_folder.h"

int main(int argc, char** argv) {
  using namespace lookalike;
  namespace fs = std::filesystem;
  if (argc != 2) {
    fmt::print(stderr, "usage: {} CORPUS\n", argv[0]);
    return 1;
  }
  int files = 0, failed = 0;
  for (const auto& [name, target] : fuzz_targets()) {
    std::vector<fs::path> corpus;
    if (fs::is_directory(fs::path(argv[1]) / name))
      for (const auto& entry : fs::directory_iterator(fs::path(argv[1]) / name)) corpus.push_back(entry.path());
    std::ranges::sort(corpus);
    if (corpus.empty()) {
      fmt::print("{}: no corpus\n", name);
      failed++;
    }
    for (const fs::path& path : corpus) {
      const std::string bytes = read_bytes(path);
      files++;
      try {
        accepts([&, target = target] { target(bytes); });
      } catch (const std::exception& error) {
        fmt::print("{}: {}\n", path.string(), error.what());
        failed++;
      }
    }
  }
  fmt::print("{} files for {} targets, {} failed\n", files, fuzz_targets().size(), failed);
  return failed == 0 ? 0 : 1;
}
