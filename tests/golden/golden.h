// Golden values: what make_golden.py had PyTorch compute (README.md), read back and compared with ours.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "engine/io/safetensors.h"
#include "tests/op_case.h"

namespace lookalike::testing {

inline TensorFile read_golden(const std::string& name) {
  return read_safetensors(LOOKALIKE_SOURCE_DIR "/tests/golden/" + name + ".safetensors");
}

// ||got - want|| / ||want||, in double.
inline double golden_error(const Tensor& got, const Tensor& want) {
  REQUIRE(got.shape().to_string() == want.shape().to_string());
  return relative_error(got, want);
}

// Runs `op` on the tensors "<name>.<input>" in double and in float; the output must be "<name>.y" and, given the
// gradient "<name>.dy", the gradients of the inputs "<name>.d<input>".
inline void check_golden(const TensorFile& file, const std::string& name, const std::vector<std::string>& inputs,
                         const OpFunction& op, double float_tolerance = 1e-6) {
  CAPTURE(name);
  for (const DType dtype : {DType::f64, DType::f32}) {
    const double tolerance = dtype == DType::f64 ? 1e-14 : float_tolerance;
    const auto golden = [&](const std::string& key) { return file.tensors.at(name + "." + key).to(dtype); };
    std::vector<Variable> variables;
    for (const std::string& input : inputs) variables.emplace_back(golden(input), true);
    Variable y = op(variables);
    CAPTURE(tolerance);
    CHECK(golden_error(y.value(), golden("y")) <= tolerance);
    y.backward(golden("dy"));
    for (size_t i = 0; i < inputs.size(); i++) {
      CAPTURE(inputs[i]);
      REQUIRE(variables[i].grad().defined());
      CHECK(golden_error(variables[i].grad(), golden("d" + inputs[i])) <= tolerance);
    }
  }
}

}  // namespace lookalike::testing
