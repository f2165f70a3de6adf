// One OpCase describes an op once, and yields its tests and its benchmark:
//   gradient check in double, with a random cotangent, against central differences;
//   float against double, values and gradients: the fast kernels against the plain loops;
//   where there is a GPU, the GPU in every precision against double on the CPU;
//   where `same_as` is given, the op against another composition of ops;
//   with `bench`, the time of forward and backward in float, beside the bytes and flops that it must move and do.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/autograd/variable.h"
#include "engine/core/random.h"
#include "kernels/activation.h"

namespace lookalike::testing {

using OpFunction = std::function<Variable(const std::vector<Variable>&)>;

struct OpCase {
  std::string name;           // "relu [3, 31]"
  std::vector<Shape> inputs;  // filled with standard normal numbers, then `prepare`d
  OpFunction
      op;  // for float and double inputs alike; called many times, so it must not draw random numbers or keep state
  // Moves the inputs (double) away from kinks, or into the op's domain.
  std::function<void(std::vector<Tensor>&)> prepare;
  // One flag for each input; empty: every input is differentiated.
  std::vector<bool> differentiable;
  // Float against double, ||a - b|| / ||b|| of values and of each gradient.
  double tolerance = 2e-6;
  OpFunction same_as;
  // So many first inputs are activations, which mixed precision stores as bf16; the others are weights. None: the op takes
  // float alone, and mixed precision does not touch it.
  size_t activations = 1;
  // Rounding may cross a kink or a tie within the op, so gradients are not compared in low precision.
  bool kinks = false;
  bool bench = false;           // time it; such a case may be too large for the gradient check, which it then skips
  double bytes = 0, flops = 0;  // of forward and backward together
};

std::vector<OpCase>& op_cases();

// Each of tests/cases/<op>_case.cpp holds one of these with a function that adds its cases.
struct RegisterOpCases {
  explicit RegisterOpCases(const std::function<void(std::vector<OpCase>&)>& add) { add(op_cases()); }
};

const char* name_of(ActivationKind kind);
bool has_kink(ActivationKind kind);

// Standard normal numbers, the same for the same seed.
Tensor random_tensor(const Shape& shape, DType dtype = DType::f64, uint64_t seed = 0);
// ||a - b|| / (||b|| + tiny), for tensors of the same size; NaN or infinite where a is not finite.
double relative_error(const Tensor& a, const Tensor& b);
bool same_bits(const Tensor& a, const Tensor& b);
// The inputs of a case, in double.
std::vector<Tensor> make_inputs(const OpCase& op_case);
bool is_differentiable(const OpCase& op_case, size_t input);
// The gradient that a case's output is given.
Tensor make_cotangent(const Shape& shape, DType dtype = DType::f64);

struct OpRun {
  Tensor output;
  std::vector<Tensor> grads;  // of the differentiable inputs, in their order
};
// Forward and backward of `op`, on the inputs converted to `dtype`.
OpRun run_op(const OpCase& op_case, const OpFunction& op, const std::vector<Tensor>& inputs, DType dtype);
// The same as `compute` says, from inputs in float; results in float on the CPU.
OpRun run_op(const OpCase& op_case, const std::vector<Tensor>& inputs, const Compute& compute);
// The largest relative_error among the output and the gradients; infinite where a gradient is missing.
double largest_error(const OpRun& got, const OpRun& want);
// largest_error of the float run against the double one, both on inputs that a float can hold.
double float_error(const OpCase& op_case);

// Pushes each element at least `margin` away from 0, keeping its sign.
void keep_from_zero(Tensor& tensor, double margin = 0.05);
// Makes all elements different by at least 1e-3, in random order: no ties for max pooling.
void make_distinct(Tensor& tensor);

}  // namespace lookalike::testing
