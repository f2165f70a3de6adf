#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "engine/core/storage.h"

int main(int argc, char** argv) {
  lookalike::arena_guard_blocks();
  return doctest::Context(argc, argv).run();
}
