// Step 8: the shipped kernel, kernels/conv2d_gemm.h, on the ordinary cores: step 7 with up to 128x128 results a block and 16x8 a thread,
// blocks that run together placed so that they share tiles in the L2 cache, the size of the tile chosen by the shape, and the depth
// split where pixels and channels make too few tiles for the device. Taps come from multiplications (kernels/gpu/fast_divide.h).
#include "bench/ladders/conv/shipped.h"

namespace lookalike::ladder {
namespace {

[[maybe_unused]] const bool registered =
    add_step({"conv", "08 shipped, fp32", "16x8 results a thread, tiles by shape, split depth",
              [](const Task& t) { run_shipped<float>(t, t.a, t.c, false); }});

}  // namespace
}  // namespace lookalike::ladder
