// Models as files: what is written comes back, and a damaged or foreign file is one line of Error.
#include "engine/train/checkpoint.h"

#include <doctest/doctest.h>

#include "engine/io/safetensors.h"
#include "models/model.h"
#include "tests/op_case.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

Model small_model() {
  Preprocess preprocess;
  preprocess.height = preprocess.width = 8;
  preprocess.color_order = "bgr";
  preprocess.mean = {0.25f, 0.5f, 0.1f};
  return build_model({{"name", "convnet_bn"}, {"channels", {4, 3}}, {"pool_after", {1}}, {"embedding", 5}}, preprocess,
                     1, "test");
}

void write_model(const std::filesystem::path& path, const Model& model) {
  write_checkpoint(path, {model.config, {}, {}, model.preprocess, tensors_of(state_of(*model.network))});
}

// What load_model says of this file; it names the file, in one line.
std::string refusal(const std::filesystem::path& path) {
  const std::string text = error_of([&] { load_model(path); });
  CAPTURE(text);
  CHECK(text.find(path.string()) != std::string::npos);
  CHECK(text.find('\n') == std::string::npos);
  return text;
}

TEST_CASE("a model read back gives the same embeddings") {
  TemporaryFolder folder;
  const Model model = small_model();
  const Variable images(testing::random_tensor({6, 8, 8, 3}, DType::f32));
  model.network->forward(images, {.training = true, .views = 2});  // moves the running averages
  write_model(folder / "model", model);
  const Model read = load_model(folder / "model");
  CHECK(read.config == model.config);
  CHECK(to_json(read.preprocess) == to_json(model.preprocess));
  const Tensor a = model.network->forward(images, {}).value(), b = read.network->forward(images, {}).value();
  CHECK(std::equal(a.raw(), a.raw() + a.bytes(), b.raw()));
}

TEST_CASE("a model file cut in any of its sections is refused") {
  TemporaryFolder folder;
  write_model(folder / "whole", small_model());
  const std::string whole = read_bytes(folder / "whole");
  const SafetensorsHeader header = read_safetensors_header(folder / "whole");
  std::vector<int64_t> lengths{0, 4, 8, 9, header.data_begin / 2, header.data_begin - 1};
  for (const auto& [name, entry] : header.tensors) {
    lengths.push_back(header.data_begin + entry.begin);
    lengths.push_back(header.data_begin + (entry.begin + entry.end) / 2);
  }
  for (const int64_t length : lengths) {
    CAPTURE(length);
    write_bytes(folder / "cut", whole.substr(0, length));
    CHECK(refusal(folder / "cut") != "");
  }
}

TEST_CASE("a file that is no model, or the model of something else, is refused") {
  TemporaryFolder folder;
  const std::string path = folder / "bad";
  write_model(path, small_model());
  const TensorFile good = read_safetensors(path);
  const auto says = [&](const std::string& part, auto&& change) {
    TensorFile file = good;
    change(file);
    write_safetensors(path, file);
    const std::string text = refusal(path);
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  const auto with_model = [](const char* config) {
    return [config](TensorFile& file) { file.metadata["model"] = config; };
  };
  says("not a model of this program", [](auto& file) { file.metadata.clear(); });
  says("metadata 'model' is missing", [](auto& file) { file.metadata.erase("model"); });
  says("metadata 'model' is not valid JSON", with_model("{"));
  says("did you mean 'convnet_bn'", with_model(R"({"name": "convnet"})"));
  says("unknown key 'chanels'",
       with_model(R"({"name": "convnet_bn", "channels": [4], "pool_after": [1], "chanels": [4]})"));
  says("channels = [0]", with_model(R"({"name": "convnet_bn", "channels": [0]})"));
  says("embedding = -1", with_model(R"({"name": "convnet_bn", "embedding": -1})"));
  says("pool_after names block 9", with_model(R"({"name": "convnet_bn", "channels": [4], "pool_after": [9]})"));
  says("make the network too large",
       with_model(
           R"({"name": "convnet_bn", "channels": [4], "pool_after": [1], "embedding": 65536})"));
  says(
      "embedding = 1000000000, expected an integer from 1 to 65536",
      with_model(
          R"({"name": "convnet_bn", "channels": [4], "pool_after": [1], "embedding": 1000000000})"));
  says("kernel 2 is even", with_model(R"({"name": "siamese_cnn", "filters": [4], "kernels": [2]})"));
  says("1 filters and 2 kernels", with_model(R"({"name": "siamese_cnn", "filters": [4]})"));
  says("missing conv1.weight", [](auto& file) { file.tensors.erase("conv1.weight"); });
  says("left over extra", [](auto& file) { file.tensors["extra"] = Tensor::zeros({1}); });
  says("embedding.bias is f32 [6], expected f32 [5]",
       [](auto& file) { file.tensors["embedding.bias"] = Tensor::zeros({6}); });
  says("embedding.bias is f64", [](auto& file) { file.tensors["embedding.bias"] = Tensor::zeros({5}, DType::f64); });
  says("metadata 'preprocess'", [](auto& file) { file.metadata["preprocess"] = "[]"; });
  says("'std' is missing", [](auto& file) {
    auto json = nlohmann::json::parse(file.metadata["preprocess"]);
    json.erase("std");
    file.metadata["preprocess"] = json.dump();
  });
  says("mean has 1 numbers", [](auto& file) {
    auto json = nlohmann::json::parse(file.metadata["preprocess"]);
    json["mean"] = {0.5};
    file.metadata["preprocess"] = json.dump();
  });
}

}  // namespace
}  // namespace lookalike
