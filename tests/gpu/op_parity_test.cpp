// Every OpCase on the GPU, in every precision, against double on the CPU.
#include <algorithm>

#include <doctest/doctest.h>

#include "tests/gpu/cudnn_found.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

void check_precision(Precision precision, double tolerance, ConvBackend conv = ConvBackend::native) {
  for (OpCase c : op_cases()) {
    if (conv == ConvBackend::cudnn && !c.name.starts_with("conv2d")) continue;
    if (c.bench || (precision != Precision::fp32 && c.activations == 0)) continue;
    // What the op is given: numbers that the precision can hold.
    std::vector<Tensor> rounded;
    for (const Tensor& input : make_inputs(c)) {
      const Tensor single = input.to(DType::f32);
      const bool half = precision == Precision::bf16 && rounded.size() < c.activations;
      rounded.push_back(half ? single.to(DType::bf16).to(DType::f32) : single);
    }
    std::vector<Tensor> exact;
    for (const Tensor& input : rounded) exact.push_back(input.to(DType::f64));
    OpRun got = run_op(c, rounded, {Device::cuda, precision, conv}), want = run_op(c, c.op, exact, DType::f64);
    if (precision != Precision::fp32 && c.kinks) got.grads.clear(), want.grads.clear();
    CAPTURE(c.name);
    // A case that float makes worse by nature says so.
    const bool lenient = precision == Precision::fp32 && c.tolerance > OpCase{}.tolerance;
    CHECK(largest_error(got, want) <= (lenient ? c.tolerance : tolerance));
  }
}

TEST_CASE("ops on the GPU agree with double on the CPU: fp32") {
  check_precision(Precision::fp32, 1e-6);
}
TEST_CASE("ops on the GPU agree with double on the CPU: tf32") {
  check_precision(Precision::tf32, 1e-3);
}
TEST_CASE("ops on the GPU agree with double on the CPU: bf16") {
  check_precision(Precision::bf16, 1e-2);
}
TEST_CASE("convolutions by cuDNN agree with double on the CPU") {
  if (!cudnn_found()) return;
  check_precision(Precision::fp32, 1e-4, ConvBackend::cudnn);
  check_precision(Precision::tf32, 1e-3, ConvBackend::cudnn);
  check_precision(Precision::bf16, 1e-2, ConvBackend::cudnn);
}

// The winners of pooling are written down for a backward alone.
TEST_CASE("pooling on the GPU makes the same where no gradient will be asked for") {
  for (const OpCase& c : op_cases()) {
    if (c.bench || c.name.find("pool") == std::string::npos) continue;
    std::vector<Variable> inputs;
    for (const Tensor& input : make_inputs(c)) inputs.emplace_back(input.to(DType::f32).to(Device::cuda), true);
    const auto output = [&] { return c.op(inputs).value().to(Device::cpu); };
    const Tensor with = output();
    NoGrad no_grad;
    const Tensor without = output();
    CAPTURE(c.name);
    CHECK(std::equal(with.raw(), with.raw() + with.bytes(), without.raw()));
  }
}

}  // namespace
}  // namespace lookalike::testing
