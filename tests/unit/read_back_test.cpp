// What the program wrote itself is read back as warily as anything else: each field of a run's
// files that can't be is one line that names the file, and nothing is written.
#include <map>

#include <doctest/doctest.h>

#include "engine/io/safetensors.h"
#include "engine/train/checkpoint.h"
#include "engine/train/feature_cache.h"
#include "engine/train/trainer.h"
#include "models/center.h"
#include "models/model.h"
#include "models/whiten.h"
#include "tests/unit/data_files.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The contents of all files of a folder, by path.
std::map<std::string, std::string> contents_of(const fs::path& folder) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) contents[entry.path()] = read_bytes(entry.path());
  return contents;
}

// A run of two epochs on 20 pairs, with a model file and one to resume from.
struct TinyRun {
  TinyRun() {
    write_pairs_folder(data, 20);
    go(2, false);
    kept = contents_of(out);
  }

  Model network(const Recipe& recipe) const {
    return build_model(recipe.model, recipe.preprocess, 0, "recipe");
  }
  TrainResult go(int64_t epochs, bool resume) {
    Recipe recipe = parse_recipe(
        "[model]\nname = 'convnet_bn'\nchannels = [3]\npool_after = [1]\nembedding = "
        "4\n[input]\nheight = 8\nwidth = "
        "8\n"
        "[train]\nbatch_pairs = 4\n[split]\nratios = [60, 40, 0]\n[evaluate]\ncandidates = 8\n",
        "recipe", {fmt::format("train.epochs={}", epochs)});
    Model model = network(recipe);
    recipe.resolved["model"] = model.config;
    TrainJob job;
    job.data = data.path(), job.out = out, job.resume = resume;
    return train(recipe, *model.network, job);
  }
  // The file's tensors and metadata, changed.
  void change(const char* name, const std::function<void(TensorFile&)>& change) const {
    TensorFile file = read_safetensors(out + "/" + name);
    change(file);
    write_safetensors(out + "/" + name, file);
  }
  // Resuming for `epochs` must be refused with a line that holds `part`; then everything is as it
  // was.
  void refuses(const std::string& part, int64_t epochs = 3) {
    const auto before = contents_of(out);
    const std::string why = error_of([&] { go(epochs, true); });
    CAPTURE(why);
    CHECK(why.find(out) != std::string::npos);
    CHECK(why.find(part) != std::string::npos);
    CHECK(why.find('\n') == std::string::npos);
    CHECK(contents_of(out) == before);
    fs::remove_all(out);
    for (const auto& [path, bytes] : kept) {
      fs::create_directories(fs::path(path).parent_path());
      write_bytes(path, bytes);
    }
  }
  void refuses_last(const std::string& part, const std::function<void(TensorFile&)>& changed,
                    int64_t epochs = 3) {
    change("last.safetensors", changed);
    refuses(part, epochs);
  }
  void refuses_progress(const std::string& part, const std::function<void(json&)>& changed,
                        int64_t epochs = 3) {
    const auto in_file = [&](TensorFile& file) {
      json progress = json::parse(file.metadata.at("progress"));
      changed(progress);
      file.metadata["progress"] = progress.dump();
    };
    refuses_last(part, in_file, epochs);
  }

  DataFolder data;
  TemporaryFolder runs;
  std::string out = runs / "run";
  std::map<std::string, std::string> kept;
};

Tensor changed_element(const Tensor& tensor, int64_t at, double value) {
  Tensor copy = tensor.clone();
  if (copy.dtype() == DType::i64)
    copy.data<int64_t>()[at] = static_cast<int64_t>(value);
  else
    copy.data<float>()[at] = static_cast<float>(value);
  return copy;
}

TEST_CASE("a run is resumed from nothing that can't be") {
  TinyRun run;
  CHECK(run.go(2, true).end == TrainEnd::was_before);
  const auto tensor = [&](const char* name, double value) {
    return [=](TensorFile& file) {
      file.tensors[name] = changed_element(file.tensors.at(name), 0, value);
    };
  };

  // Where it stands.
  for (const int64_t epoch : {int64_t{-1}, int64_t{3}, std::numeric_limits<int64_t>::max()})
    run.refuses_progress("'epoch' is", [&](json& at) { at["epoch"] = epoch; });
  for (const int64_t step : {0, 1})
    run.refuses_progress(fmt::format("optimiser state 'adam.step' is 6, expected {}", 3 + step),
                         [&](json& at) {
                           at["epoch"] = 1, at["best_epoch"] = 1, at["stale"] = 0,
                           at["step"] = at["meter"]["steps"] = step;
                         });
  run.refuses_progress("validation top2 of the best epoch is", [](json& at) { at["best"] = 7; });
  run.refuses_progress("'step' is 99",
                       [](json& at) { at["step"] = 99, at["meter"]["steps"] = 99; });
  // A run that claims to be finished and is not.
  const auto finished = [](TensorFile& file) {
    json at = json::parse(file.metadata.at("progress")),
         recipe = json::parse(file.metadata.at("recipe"));
    at["epoch"] = 3, at["stale"] = 3 - at["best_epoch"].get<int64_t>();
    recipe["train"]["epochs"] = 3;
    file.metadata["progress"] = at.dump(), file.metadata["recipe"] = recipe.dump();
  };
  run.refuses_last("metrics.jsonl:3: no line for epoch 3", finished);
  for (const json& epochs :
       {json(-1), json(0), json(std::numeric_limits<uint64_t>::max()), json("2"), json(1e30)})
    run.refuses_last("train.epochs, expected an integer from 1 to", [&](TensorFile& file) {
      json recipe = json::parse(file.metadata.at("recipe"));
      recipe["train"]["epochs"] = epochs;
      file.metadata["recipe"] = recipe.dump();
    });
  for (const char* bad : {"", "3", "[]", "null", "{", "{\"train\": 3}"})
    run.refuses_last("recipe", [&](TensorFile& file) { file.metadata["recipe"] = bad; });
  for (const char* bad : {"", "3", "[]", "null", "{"})
    run.refuses_last("metadata 'progress'",
                     [&](TensorFile& file) { file.metadata["progress"] = bad; });
  run.refuses_last("metadata 'seen' is 'maybe'",
                   [](TensorFile& file) { file.metadata["seen"] = "maybe"; });

  // What it has learned.
  run.refuses_last("NaN or infinity", tensor("optimizer/adam.v/conv1.weight", NAN));
  run.refuses_last("NaN or infinity", tensor("optimizer/adam.m/conv1.weight", INFINITY),
                   2);  // finished, too
  run.refuses_last("adam.v/conv1.weight' holds a number below 0",
                   tensor("optimizer/adam.v/conv1.weight", -1e-6));
  run.refuses_last("adam.step' is -1", tensor("optimizer/adam.step", -1));
  run.refuses_last("adam.step' is 9223372036854775807", [](TensorFile& file) {
    file.tensors["optimizer/adam.step"] =
        Tensor::from({1}, std::vector{std::numeric_limits<int64_t>::max()});
  });
  run.refuses_last("adam.w' is none of adam",
                   [](TensorFile& file) { file.tensors["optimizer/adam.w"] = Tensor::zeros({1}); });
  run.refuses_last("NaN or infinity", tensor("conv1.weight", NAN));
  run.refuses_last("norm1.running_var holds a number below 0", tensor("norm1.running_var", -0.5));
  run.refuses_last("seen/training is not sorted", tensor("seen/training", -1));

  // What it has told.
  const std::string metrics = run.out + "/metrics.jsonl", lines = run.kept.at(metrics);
  const std::string first = lines.substr(0, lines.find('\n') + 1);
  const std::pair<std::string, const char*> bad_lines[] = {
      {"", "metrics.jsonl:1: no line for epoch 1"},
      {first, "metrics.jsonl:2: no line for epoch 2"},
      {first + first, "metrics.jsonl:2: expected the metrics"},
      {first + "[2]\n", "metrics.jsonl:2: expected the metrics"},
      {first + std::string(400'000, '[') + std::string(400'000, ']'), "metrics.jsonl:2: expected"},
      {first + "{\"epoch\":2", "metrics.jsonl:2: expected"},
      {"\n" + lines, "metrics.jsonl:1: expected"}};
  for (const auto& [text, part] : bad_lines) {
    for (const int64_t epochs : {2, 3}) {
      write_bytes(metrics, text);
      run.refuses(part, epochs);
    }
  }
  fs::remove(metrics);
  run.refuses("metrics.jsonl:1: no line");
  const std::string best = run.out + "/model.safetensors";
  write_bytes(best, "not a model");
  run.refuses("model.safetensors");
  fs::remove(best);
  run.refuses("model.safetensors': No such file");

  // What it was trained on.
  for (const char* name : {"train.csv", "val.csv"}) {
    const std::string split = run.out + "/splits/" + name, text = run.kept.at(split);
    for (const std::string& bad :
         {std::string(), text.substr(0, text.size() / 2), text + "a1,b1.png\n"}) {
      write_bytes(split, bad);
      run.refuses(split);
    }
    fs::remove(split);
    run.refuses(split);
  }

  // Lines of an epoch that was not finished are dropped, and everything else as it was goes on.
  write_bytes(metrics, lines + "{\"epoch\":3");
  const TrainResult result = run.go(3, true);
  CHECK(result.epochs == 3);
  const std::string longer = read_bytes(metrics);
  CHECK(std::ranges::count(longer, '\n') == 3);
  CHECK(longer.starts_with(lines));
}

TEST_CASE(
    "a model with variances below 0, or with weights that are not finite, is not loaded and not "
    "started from") {
  TinyRun run;
  const std::string path = run.out + "/model.safetensors";
  const auto refuses = [&](const char* name, double value, const char* part) {
    run.change("model.safetensors", [&](TensorFile& file) {
      file.tensors[name] = changed_element(file.tensors.at(name), 1, value);
    });
    Model model = build_model(load_model(run.out + "/last.safetensors").config,
                              Preprocess{.height = 8, .width = 8}, 0, "m");
    for (const std::string& why :
         {error_of([&] { load_model(path); }), error_of([&] { start_from(path, model); })}) {
      CAPTURE(why);
      CHECK(why.starts_with(path));
      CHECK(why.find(name) != std::string::npos);
      CHECK(why.find(part) != std::string::npos);
    }
    write_bytes(path, run.kept.at(path));
  };
  refuses("norm1.running_var", -1e-3, "below 0");
  refuses("norm1.running_var", NAN, "NaN");
  refuses("norm1.running_mean", INFINITY, "NaN or infinity");
  refuses("embedding.bias", -INFINITY, "NaN or infinity");
  load_model(path);
}

TEST_CASE("a mean and a whitening are taken from a file where they can be") {
  const DataFolder data;
  write_pairs_folder(data, 12);
  const Model plain =
      build_model({{"name", "siamese_cnn"}, {"filters", {4}}, {"kernels", {3}}, {"embedding", 6}},
                  Preprocess{.height = 8, .width = 8}, 1, "m");
  const auto write = [&](const Model& model, const char* name,
                         const std::function<void(Checkpoint&)>& change) {
    Checkpoint checkpoint{
        model.config, {}, {}, model.preprocess, tensors_of(state_of(*model.network)), {}};
    change(checkpoint);
    write_checkpoint(data.path(name), checkpoint);
    return data.path(name);
  };
  const auto nothing = [](Checkpoint&) {};
  const std::string path = write(plain, "plain.safetensors", nothing);

  Model centred = load_model(path);
  set_center(centred, center_of(centred, data.path("left"), {}), path);
  const auto says = [&](const std::string& part, const std::function<void(Tensor&)>& change) {
    const std::string source = write(centred, "centred.safetensors", [&](Checkpoint& file) {
      change(file.tensors["center.mean"]);
    });
    Model model = load_model(path);
    const std::string why = error_of([&] { use_center(model, path, source, {}); });
    CAPTURE(why);
    CHECK((part.empty() ? why.empty() : why.starts_with(source + ": tensor center.mean " + part)));
  };
  says("", [](Tensor&) {});
  says("is f32 [5], expected f32 [6]", [](Tensor& mean) { mean = Tensor::zeros({5}); });
  says("is f32 [6, 1], expected f32 [6]", [](Tensor& mean) { mean = Tensor::zeros({6, 1}); });
  says("is i64 [6], expected f32 [6]", [](Tensor& mean) { mean = Tensor::zeros({6}, DType::i64); });
  says("holds NaN or infinity", [](Tensor& mean) { mean = changed_element(mean, 2, NAN); });

  Model whitened = load_model(path);
  set_whitening(whitened, whitening_of(whitened, data.path("pairs.csv"), 4, 0.1, {}), path);
  const auto whitening_says = [&](const std::string& part, const char* name,
                                  const std::function<void(Tensor&)>& change) {
    const std::string file = write(whitened, "whitened.safetensors", [&](Checkpoint& checkpoint) {
      Tensor& tensor = checkpoint.tensors.at(name);
      tensor = tensor.clone();
      change(tensor);
    });
    const std::string why = error_of([&] { load_model(file); });
    CAPTURE(why);
    CHECK((part.empty() ? why.empty()
                        : why.find(part) != std::string::npos && why.starts_with(file)));
  };
  const char* directions = "whiten.directions";
  whitening_says("", directions, [](Tensor&) {});
  whitening_says("row 2 is 0", directions, [](Tensor& rows) { rows.rows(2, 3).fill(0); });
  whitening_says("rows 0 and 3 are not orthogonal", directions,
                 [](Tensor& rows) { rows.rows(3, 4).copy_from(rows.rows(0, 1)); });
  whitening_says("NaN", directions, [](Tensor& rows) { rows = changed_element(rows, 7, NAN); });
  whitening_says("NaN", "whiten.left_mean",
                 [](Tensor& mean) { mean = changed_element(mean, 1, INFINITY); });
}

TEST_CASE("cached features are those that were written for these images and layers") {
  const DataFolder data;
  TemporaryFolder cache;
  std::vector<std::string> files;
  for (int i = 0; i < 5; i++)
    files.push_back(data.write(fmt::format("{}.png", i), encode_png(test_image(8, 8, 3, i))));
  const Preprocess preprocess{.height = 8, .width = 8};
  const Model model =
      build_model({{"name", "siamese_cnn"}, {"filters", {2}}, {"kernels", {3}}, {"embedding", 6}},
                  preprocess, 1, "m");
  model.network->freeze("conv1");
  const std::vector<std::string> first_files(files.begin(), files.end() - 1);
  const ImageStore images(files, preprocess), fewer(first_files, preprocess);
  const auto features = [&](const ImageStore& of) {
    return cached_features(*model.network, "m", of, cache.path());
  };
  const Tensor want = features(images);
  const std::string path = fs::directory_iterator(cache.path())->path(), good = read_bytes(path);
  const Tensor again = features(images);
  CHECK(std::equal(want.raw(), want.raw() + want.bytes(), again.raw()));

  const auto says = [&](const std::string& part, const std::function<void(TensorFile&)>& change) {
    TensorFile kept = read_safetensors(path);
    change(kept);
    write_safetensors(path, kept);
    const std::string why = error_of([&] { features(images); });
    CAPTURE(why);
    CHECK(why.starts_with(path));
    CHECK(why.find(part) != std::string::npos);
    CHECK(why.find("delete the file") != std::string::npos);
    write_bytes(path, good);
  };
  says("hold NaN", [](TensorFile& f) {
    f.tensors["features"] = changed_element(f.tensors["features"], 9, NAN);
  });
  says("not those that were written", [](TensorFile& f) {
    f.tensors["features"] = changed_element(f.tensors["features"], 9, 0.123);
  });
  says("not those that were written",
       [](TensorFile& f) { f.metadata["key"] = "0123456789abcdef"; });
  says("not those that were written", [](TensorFile& f) { f.metadata.clear(); });
  says("expected a tensor 'features'",
       [](TensorFile& f) { f.tensors["features"] = f.tensors["features"].rows(0, 4); });
  says("expected a tensor 'features'",
       [](TensorFile& f) { f.tensors["features"] = f.tensors["features"].to(DType::f64); });
  says("expected a tensor 'features'", [](TensorFile& f) {
    f.tensors = {{"feature", Tensor::zeros({5})}};
  });
  // A file of other images under this name.
  fs::remove(path);
  features(fewer);
  const fs::path other = fs::directory_iterator(cache.path())->path();
  write_bytes(other, read_bytes(other));
  fs::rename(other, path);
  CHECK(error_of([&] { features(images); }).find("delete the file") != std::string::npos);
}

}  // namespace
}  // namespace lookalike
