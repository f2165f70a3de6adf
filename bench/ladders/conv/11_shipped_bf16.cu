// Step 11: the shipped kernel with bf16: half the bytes of x and y, and m16n8k16, twice the products an instruction. The weights, float
// where they are trained, are rounded to bf16 by a kernel of their own on each call; sums are float, and y is rounded once.
#include "bench/ladders/conv/shipped.h"

namespace lookalike::ladder {
namespace {

[[maybe_unused]] const bool registered =
    add_step({.ladder = "conv",
              .name = "11 shipped, bf16",
              .idea = "half the bytes, m16n8k16",
              .run = [](const Task& t) { run_shipped<bf16>(t, t.a16, t.c16, false); },
              .tolerance = 0x1p-8,  // the rounding of y
              .bf16 = true,
              .bf16_result = true});

}  // namespace
}  // namespace lookalike::ladder
