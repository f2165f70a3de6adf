// The weights of an ONNX model (https://onnx.ai, onnx.proto): the initialisers of its graph. The file is one message of protobuf's wire format
// (https://protobuf.dev/programming-guides/encoding), of which this reads the few fields that it needs.
#pragma once

#include <filesystem>

#include "engine/io/safetensors.h"

namespace lookalike {

// Initialisers of 32-bit and 64-bit integers and floats, bytes and bool as they are (bool as u8), of half precision as f32. Others, and
// tensors whose elements are in another file, are Errors, and so is everything that is damaged.
TensorFile read_onnx(const std::filesystem::path& path);

}  // namespace lookalike
