// Kernels for the tests of the emulator: x[64] in, y[128] out, 64 threads a block.
#pragma once

#include <cstdint>
#include <vector>

namespace lookalike::testing {

struct Mistake {
  const char* name;
  const char* says;  // what the emulator's report holds
  int blocks;
  void (*wrong)(const float*, float*);
  void (*right)(const float*, float*);
};
const std::vector<Mistake>& mistakes();

void run(void (*kernel)(const float*, float*), int blocks, const float* x, float* y);
void run_too_much_shared(const float* x, float* y, int64_t bytes);
// One warp: y[lane] = x[lane * stride], by way of a column in shared memory with rows of 1, 32 or 33 floats.
void run_strides(int stride, int row, const float* x, float* y);
// y[32][8]
void run_talk(const float* x, float* y);
// d[16, 8] = a[16, k] b[8, k]^T: k = 16 for bf16, 8 for tf32.
void run_multiply(bool bf16, const float* a, const float* b, float* d);

}  // namespace lookalike::testing
