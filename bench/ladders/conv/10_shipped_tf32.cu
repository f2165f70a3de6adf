// Step 10: the shipped kernel with tf32: step 9 with the ring of step 7, 64x64 results a warp, and ldmatrix, which brings both operands
// four 8x4 blocks at a time.
#include "bench/ladders/conv/shipped.h"

namespace lookalike::ladder {
namespace {

[[maybe_unused]] const bool registered = add_step({.ladder = "conv",
                                                   .name = "10 shipped, tf32",
                                                   .idea = "the ring of 07, 64x64 results a warp, ldmatrix",
                                                   .run = [](const Task& t) { run_shipped<float>(t, t.a, t.c, true); },
                                                   .tolerance = 1e-3});

}  // namespace
}  // namespace lookalike::ladder
