// Files of weights and models, and what their metadata hold.
#include <zlib.h>

#include "engine/io/npy.h"
#include "engine/io/onnx_file.h"
#include "engine/io/pickle.h"
#include "engine/io/torch_file.h"
#include "engine/io/weight_file.h"
#include "engine/io/weights.h"
#include "engine/io/zip.h"
#include "engine/search/index_file.h"
#include "engine/train/checkpoint.h"
#include "engine/train/position.h"
#include "models/import.h"
#include "models/import_sources.h"
#include "models/model.h"
#include "models/verify.h"
#include "tests/fuzz/target.h"

namespace lookalike {
namespace {

constexpr int64_t kMaxForward = 64 * 64 * 3;  // values of an image

std::string little(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; i++) text += static_cast<char>(value >> 8 * i & 255);
  return text;
}

// An archive of these entries, stored, with right checksums.
std::string zip_of(const std::map<std::string, std::string>& entries) {
  std::string data, directory;
  for (const auto& [name, content] : entries) {
    const uLong sum = crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size()));
    const std::string common = std::string(8, '\0') + little(sum, 4) + little(content.size(), 4) + little(content.size(), 4) +
                               little(name.size(), 2) + little(0, 2);
    directory += "PK\1\2" + little(20, 2) + little(20, 2) + common + std::string(10, '\0') + little(data.size(), 4) + name;
    data += "PK\3\4" + little(20, 2) + common + name + content;
  }
  return data + directory + "PK\5\6" + little(0, 4) + little(entries.size(), 2) + little(entries.size(), 2) +
         little(directory.size(), 4) + little(data.size(), 4) + little(0, 2);
}

// What a program does with a model file, and a picture through the network where that is small.
void use_model(const std::string& path) {
  const Checkpoint checkpoint = read_checkpoint(path);
  if (!checkpoint.progress.is_null()) {
    const Position position = position_from_json(checkpoint.progress, 10, path);
    require(position_from_json(to_json(position), 10, path).epoch == position.epoch, "the position again");
    accepts([&] { check_position(position, 4, 3, 2, 5, path); });
  }
  recipe_differences(checkpoint.recipe, checkpoint.model);
  const Model model = load_model(path);
  if (model.preprocess.image_size() > kMaxForward) return;
  const Tensor image = Tensor::zeros({1, model.preprocess.height, model.preprocess.width, model.preprocess.channels});
  NoGrad no_grad;
  const Tensor row = model.network->forward(Variable(image), {}).value();
  require(row.shape().rank() == 2 && row.shape()[0] == 1, "an embedding");
}

}  // namespace

FUZZ_TARGET(safetensors) {
  const std::string path = fuzz_file(bytes);
  if (!accepts([&] { read_safetensors_header(path); })) {
    require(!accepts([&] { read_safetensors(path); }), "one opinion on the header");
    return;
  }
  const TensorFile file = read_safetensors(path);
  require_bounded(file, bytes.size());
  const std::string copy = fuzz_file("", "copy");
  write_safetensors(copy, file);
  require(equal(read_safetensors(copy), file), "what was written");
}

FUZZ_TARGET(model) {
  use_model(fuzz_file(bytes));
}

// The texts of the metadata model, preprocess, progress, seen and recipe, a line each, and 4096 numbers.
FUZZ_TARGET(model_metadata) {
  TensorFile file;
  file.metadata["format"] = "lookalike-1";
  for (const char* key : {"model", "preprocess", "progress", "seen", "recipe"})
    if (const auto text = take_part(bytes, '\n'); !text.empty()) file.metadata[key] = text;
  file.tensors["x"] = Tensor::zeros({4096});
  const std::string path = fuzz_file("");
  write_safetensors(path, file);
  use_model(path);
}

// What an index has beside a model: its f16_recall and calibration, a line each, how many values a row
// has, where names end, and the names.
FUZZ_TARGET(index) {
  static const TensorFile model = file_of(checkpoint_of(build_model(
      {{"name", "convnet_bn"}, {"channels", {4}}, {"pool_after", {1}}, {"embedding", 2}},
      {.height = 4, .width = 4}, 0, "index")));
  TensorFile file = model;
  file.metadata["format"] = "lookalike-index-1";
  for (const char* key : {"f16_recall", "calibration"})
    if (const auto text = take_part(bytes, '\n'); !text.empty()) file.metadata[key] = text;
  const auto width = bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]) % 4;
  const std::string ends_text = std::string(take_part(bytes, '\n'));
  std::vector<int64_t> ends;
  for (const char c : ends_text) ends.push_back(static_cast<int8_t>(c));
  const auto count = std::ssize(ends);
  file.tensors["index/name_ends"] = Tensor::from({count}, ends);
  file.tensors["index/names"] =
      Tensor::from({std::ssize(bytes)}, std::vector<uint8_t>(bytes.begin(), bytes.end()));
  file.tensors["index/hashes"] = Tensor::zeros({count}, DType::i64);
  file.tensors["index/embeddings"] = Tensor::zeros({count, width});
  const std::string path = fuzz_file("");
  write_safetensors(path, file);
  const IndexFile index(path);
  require(index.count() == count && index.embeddings().shape()[0] == count, "a row for each name");
  require(model_of(index.model(), path).network != nullptr, "a network");
  const std::string copy = fuzz_file("", "copy");
  if (count > 1) require(IndexWriter(copy).remove(index, std::span(index.names()).first(1)) == count - 1, "one less");
}

FUZZ_TARGET(torch) {
  const std::string path = fuzz_file(bytes);
  require_bounded(read_torch(path), bytes.size());
}

// The pickle of a state dict whose storages are in order: what is behind the checksums of an archive.
FUZZ_TARGET(torch_pickle) {
  std::map<std::string, std::string> entries{{"a/data.pkl", std::string(bytes)}};
  for (const char* key : {"0", "1", "2"}) entries[std::string("a/data/") + key] = std::string(24, '\1');
  const std::string zip = zip_of(entries);
  require_bounded(read_torch(fuzz_file(zip)), zip.size());
}

FUZZ_TARGET(pickle) {
  const Pickle pickle = read_pickle(bytes, 0, {"torch._utils._rebuild_tensor_v2", "a.b"}, "x");
  require(pickle.root && pickle.end <= std::ssize(bytes) && std::ssize(pickle.values) <= kMaxPickleValues,
          "a pickle within its bytes");
  require(std::ssize(pickle.values) <= 2 * std::ssize(bytes) + 16, "as many values as opcodes");
}

FUZZ_TARGET(zip) {
  const std::string path = fuzz_file(bytes);
  const ZipFile zip(path);
  for (const auto& [name, entry] : zip.entries()) {
    std::string text;
    if (accepts([&, name = name] { text = zip.read(name, kMaxInflation * std::ssize(bytes)); }))
      require(std::ssize(text) == entry.size, "a whole entry");
  }
  read_package(path);
}

FUZZ_TARGET(onnx) {
  const std::string path = fuzz_file(bytes);
  require_bounded(read_onnx(path), bytes.size());
}

FUZZ_TARGET(npy) {
  const Tensor array = read_npy(fuzz_file(bytes));
  const std::string copy = fuzz_file("", "copy");
  write_npy(copy, array);
  require(equal({{{"x", read_npy(copy)}}, {}}, {{{"x", array}}, {}}), "what was written");
}

// HDF5 is for trusted files alone (hdf5_file.h).
FUZZ_TARGET(weights) {
  const std::string path = fuzz_file(bytes);
  if (bytes.starts_with("\x89HDF")) return;
  Weights weights = read_weights(path);
  require_bounded(weights.file, bytes.size());
  strip_prefixes(weights.file);
}

// What another program's network made of a picture, layer by layer.
FUZZ_TARGET(reference) {
  static const Model model =
      build_model({{"name", "conv_encoder"}, {"filters", {2, 3}}}, {.height = 8, .width = 8}, 1, "x");
  for (const StageError& stage : stage_errors(*model.network, read_safetensors(fuzz_file(bytes)), "x"))
    require(!(stage.error < 0), "a difference");
}

// Names of tensors, a line each, as those of other programs' files.
FUZZ_TARGET(tensor_names) {
  TensorFile file;
  while (!bytes.empty()) file.tensors[std::string(take_part(bytes, '\n'))] = Tensor::zeros({1});
  for (const auto& [model, source_of] : import_sources()) {
    const ImportSource source = source_of(file);
    for (const auto& [name, tensor] : file.tensors) {
      source.name_of(name);
      source.leave_out(name);
    }
  }
  strip_prefixes(file);
}

}  // namespace lookalike
