// Named tensors in one file, in the safetensors format (https://github.com/huggingface/safetensors, "Format"): eight
// bytes of little-endian header length, a JSON header that gives each tensor's dtype, shape and byte range, and the
// elements, little-endian and row-major, without gaps. Strings of metadata live in the header under "__metadata__".
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "engine/core/tensor.h"

namespace lookalike {

struct TensorFile {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

// What the header says about one tensor; [begin, end) are bytes behind the header.
struct TensorEntry {
  std::string dtype;  // as the format spells it: "F32", "BF16", "I64"
  Shape shape;
  int64_t begin = 0, end = 0;
};

struct SafetensorsHeader {
  std::map<std::string, TensorEntry> tensors;
  std::map<std::string, std::string> metadata;
  int64_t data_begin = 0;  // where in the file the elements start
};

// Writes the file whole or not at all (atomic_file.h). Names and metadata must be UTF-8.
void write_safetensors(const std::filesystem::path& path, const TensorFile& file);

// Reads F32, F64, I64, I32 and U8 as they are, F16 and BF16 as f32. Nothing that the file claims is believed before it
// is checked against its size; whatever is wrong is an Error with file and tensor.
TensorFile read_safetensors(const std::filesystem::path& path);

// Whether the file begins as one of this format does.
bool is_safetensors(const std::filesystem::path& path);

// The checked header alone; also of files with element types that read_safetensors refuses.
SafetensorsHeader read_safetensors_header(const std::filesystem::path& path);

}  // namespace lookalike
