#include "engine/io/weights.h"

#include <algorithm>

#include "engine/io/hdf5_file.h"
#include "engine/io/input_file.h"
#include "engine/io/onnx_file.h"
#include "engine/io/torch_file.h"

namespace lookalike {

Weights read_weights(const std::filesystem::path& path) {
  check(!std::filesystem::is_directory(path), "'{}': a folder{}, expected a file of weights", path.string(),
        std::filesystem::exists(path / "saved_model.pb")
            ? " with a TensorFlow SavedModel: in Keras, load it and model.save('FILE.h5')"
            : "");
  std::string head;
  {
    const InputFile file(path);
    head.resize(std::min<int64_t>(file.size(), 64));
    file.read(0, head.data(), static_cast<int64_t>(head.size()));
  }
  check(head.size() < 8 || head.compare(4, 4, "TFL3") != 0,
        "'{}': a TensorFlow Lite model, expected the one that it was converted from, as .h5, .pth or .onnx",
        path.string());
  check(path.extension() != ".pb",
        "'{}': a TensorFlow graph (.pb), expected HDF5: in Keras, load it and model.save('FILE.h5')", path.string());
  check(
      !head.starts_with("GGUF"),
      "'{}': a GGUF file of a language model, expected weights of an image network as .pth, .safetensors, .h5 or .onnx",
      path.string());
  if (head.starts_with("PK\3\4") || is_legacy_torch(head)) return {"PyTorch", read_torch(path)};
  if (head.starts_with("\x89HDF\r\n\x1a\n")) return {"HDF5", read_hdf5(path)};
  // A header's length, then its JSON; a model begins with the version of its format.
  if (head.size() > 8 && head[8] == '{') return {"safetensors", read_safetensors(path)};
  if (head.starts_with("\x08")) return {"ONNX", read_onnx(path)};
  fail("'{}': expected weights as PyTorch (.pth), safetensors, HDF5 (Keras's .h5) or ONNX", path.string());
}

}  // namespace lookalike
