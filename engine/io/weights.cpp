#include "engine/io/weights.h"

#include <algorithm>

#include "engine/io/hdf5_file.h"
#include "engine/io/input_file.h"
#include "engine/io/onnx_file.h"
#include "engine/io/torch_file.h"

namespace lookalike {

Weights read_weights(const std::filesystem::path& path) {
  std::string head;
  {
    const InputFile file(path);
    head.resize(std::min<int64_t>(file.size(), 64));
    file.read(0, head.data(), static_cast<int64_t>(head.size()));
  }
  if (head.starts_with("PK\3\4") || is_legacy_torch(head)) return {"PyTorch", read_torch(path)};
  if (head.starts_with("\x89HDF\r\n\x1a\n")) return {"HDF5", read_hdf5(path)};
  // A header's length, then its JSON; a model begins with the version of its format.
  if (head.size() > 8 && head[8] == '{') return {"safetensors", read_safetensors(path)};
  if (head.starts_with("\x08")) return {"ONNX", read_onnx(path)};
  fail("'{}': expected weights as PyTorch (.pth), safetensors, HDF5 (Keras's .h5) or ONNX", path.string());
}

}  // namespace lookalike
