// Hands libFuzzer's inputs to the target that the environment variable FUZZ_TARGET names; without one
// the targets are listed.
#include <cstdlib>

#include "tests/fuzz/target.h"

static lookalike::FuzzTarget fuzz_target = nullptr;

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const auto& targets = lookalike::fuzz_targets();
  const char* name = std::getenv("FUZZ_TARGET");
  const auto found = targets.find(name ? name : "");
  if (found == targets.end()) {
    for (const auto& [known, function] : targets) fmt::print("{}\n", known);
    std::exit(name && *name ? 1 : 0);
  }
  fuzz_target = found->second;
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lookalike::accepts([&] { fuzz_target({reinterpret_cast<const char*>(data), size}); });
  return 0;
}
