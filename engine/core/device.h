// Where a tensor lives and its ops run: the CPU, or the GPU through CUDA (in a build with the emulator, through that).
#pragma once

#include <cstdint>
#include <string>

namespace lookalike {

// meta: nowhere. A tensor there has a shape and a type but no elements, and an op on it computes
// the shape of its result alone: what a network would take is known before it takes any.
enum class Device : uint8_t { cpu, cuda, meta };

inline const char* name_of(Device device) {
  return device == Device::cpu ? "cpu" : device == Device::cuda ? "cuda" : "meta";
}

// "cpu" or "cuda"; anything else, or a device that this build or this machine lacks, is an Error that says so.
Device parse_device(const std::string& name);

// How the GPU multiplies: fp32; tf32: float operands rounded to 10 bits of mantissa, on tensor cores; bf16: activations
// stored as bfloat16, on tensor cores. Weights, statistics, losses and sums are float in any case.
enum class Precision : uint8_t { fp32, tf32, bf16 };

// Which convolutions run: ours; on the GPU cuDNN's; or ours as the sum is written, without Winograd on the CPU.
enum class ConvBackend : uint8_t { native, cudnn, exact };

// Where and how a network runs.
struct Compute {
  Device device = Device::cpu;
  Precision precision = Precision::fp32;
  ConvBackend conv = ConvBackend::native;
};

// From the names of a device (as parse_device takes it), a precision: "fp32", "tf32", "bf16", and a maker of
// convolutions: "native", "cudnn", "exact". tf32, bf16 and cudnn are an Error on the CPU, and cudnn where it cannot be used.
Compute parse_compute(const std::string& device, const std::string& precision, const std::string& conv = "native");

// Whether ops may take tf32 for float from now on, on this thread; not at first.
void allow_tf32(bool allow);
bool tf32_allowed();

// Which convolutions ops take from now on, on this thread; native at first.
void choose_conv(ConvBackend backend);
ConvBackend chosen_conv();

}  // namespace lookalike
