// A ladder: the same operation written several times, from naive to the shipped kernel, one idea a step. Each step is a
// small file of its own that registers itself; ladder.cpp verifies and times them all.
//
//   const bool registered = add_step({"matmul", "02 coalesced", "neighbouring threads read ...", run});
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/gpu/device.h"

namespace lookalike::ladder {

using Sizes = std::vector<int>;

// What a step works on, in device memory; the meaning of the sizes is the ladder's.
struct Task {
  Sizes sizes;
  const float *a, *b;
  const bf16 *a16, *b16;  // the same, rounded
  float* c;
  bf16* c16;
  gpu::Stream stream;
};

struct Step {
  std::string ladder, name, idea;  // steps run in the order of their names
  void (*run)(const Task&);
  double tolerance = 1e-5;   // of the relative error: sums of 4096 products in float reach 1e-6
  bool bf16 = false;         // reads a16 and b16
  bool bf16_result = false;  // writes c16 instead of c
};

struct Ladder {
  std::string name, formula;
  std::vector<std::string> size_names;
  std::vector<Sizes> verified;  // small: every element is compared with the reference
  Sizes timed;                  // by default; a sample of the elements is compared
  int64_t (*count_a)(const Sizes&);
  int64_t (*count_b)(const Sizes&);
  int64_t (*count_c)(const Sizes&);
  double (*flops)(const Sizes&);
  double (*reference)(const Sizes&, const float* a, const float* b, int64_t index);  // one element of c
};

bool add_ladder(const Ladder& ladder);
bool add_step(const Step& step);

}  // namespace lookalike::ladder
