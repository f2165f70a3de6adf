// The GPU tests: without a GPU one clear line, and no failure.
#define DOCTEST_CONFIG_IMPLEMENT
#include <cstdio>

#include <doctest/doctest.h>

#include "kernels/gpu/device.h"

int main(int argc, char** argv) {
  if (!lookalike::gpu::available()) {
    std::printf("skipped: %s\n", lookalike::gpu::why_not().c_str());
    return 0;
  }
  doctest::Context context(argc, argv);
  return context.run();
}
