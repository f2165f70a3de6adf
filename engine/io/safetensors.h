// Named tensors in one file, in the safetensors format (https://github.com/huggingface/safetensors, "Format"): eight
// bytes of little-endian header length, a JSON header that gives each tensor's dtype, shape and byte range, and the
// elements, little-endian and row-major, without gaps. Strings of metadata live in the header under "__metadata__".
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/io/atomic_file.h"
#include "engine/io/input_file.h"

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

// A tensor to write whose elements lie in several places, one after the other: in memory, or in
// another file, from which they go to the new one without being in memory together.
struct TensorParts {
  struct Part {
    const void* data;  // null: `bytes` bytes of `file` from `offset` on
    int64_t bytes;
    const InputFile* file = nullptr;
    int64_t offset = 0;
  };
  DType dtype;
  Shape shape;
  std::vector<Part> parts;
};
TensorParts parts_of(const Tensor& tensor);
// Into a file that was opened before, which is complete after it.
void write_safetensors(AtomicFile& out, const std::map<std::string, TensorParts>& tensors,
                       const std::map<std::string, std::string>& metadata);

// Reads F32, F64, I64, I32 and U8 as they are, F16 and BF16 as f32. Nothing that the file claims is believed before it
// is checked against its size; whatever is wrong is an Error with file and tensor.
TensorFile read_safetensors(const std::filesystem::path& path);

// A file of which some tensors are read.
class SafetensorsFile {
 public:
  // Reads and checks the header.
  explicit SafetensorsFile(const std::filesystem::path& path);
  const SafetensorsHeader& header() const { return header_; }
  int64_t bytes() const { return file_.size(); }
  // Like read_safetensors(); F16 and BF16 as they are stored on request. Error when there is none of
  // that name.
  Tensor read(const std::string& name, bool as_stored = false) const;
  // These rows of the first axis of a tensor, to be written elsewhere.
  TensorParts::Part rows(const std::string& name, int64_t begin, int64_t end) const;

 private:
  const TensorEntry& entry(const std::string& name) const;

  InputFile file_;
  SafetensorsHeader header_;
};

// Whether the file begins as one of this format does.
bool is_safetensors(const std::filesystem::path& path);

// The checked header alone; also of files with element types that read_safetensors refuses.
SafetensorsHeader read_safetensors_header(const std::filesystem::path& path);

}  // namespace lookalike
