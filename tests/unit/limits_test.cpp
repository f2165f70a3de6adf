// Every setting at its limits and beyond, through both doors: a recipe with --set, and the metadata
// of a model file. Each works or is one line that names it, before it takes memory or time.
// Networks, settings and words are those that the code itself tells, so that a new one is covered.
// Meant for the sanitizer build, too, which sees what overflows.
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include <doctest/doctest.h>

#include "engine/core/finite.h"
#include "engine/eval/one_shot.h"
#include "engine/eval/protocol.h"
#include "engine/train/recipe.h"
#include "models/model.h"
#include "tests/op_case.h"
#include "tests/temporary_folder.h"
#include "tests/unit/data_files.h"

namespace lookalike {
namespace {

using nlohmann::json;
using Pointer = json::json_pointer;

// Reads a table of settings; returns it with every default filled in.
using Read = std::function<json(const json&)>;

const std::vector<json>& integers_at_limits() {
  constexpr int64_t k31 = int64_t{1} << 31, k63 = std::numeric_limits<int64_t>::max();
  static const std::vector<json> values{-k63 - 1, -1,    0,     1,       2,       5,   64,
                                        65,       65536, 65537, 1000001, k31 - 1, k31, k63};
  return values;
}

const std::vector<json>& numbers_at_limits() {
  static const std::vector<json> values{-INFINITY, -1.0, -1e-45, 0.0,   1e-320,   1e-13, 0.5, 1.0,
                                        1e6 + 1,   1e38, 1e39,   1e308, INFINITY, NAN,   0,   1};
  return values;
}

// What else a list may be, made of its first element.
std::vector<json> lists_at_limits(const json& list) {
  const json first = list.empty() ? json(1) : list[0];
  const bool whole = first.is_number_integer();
  std::vector<json> lists;
  for (const json& value : whole ? integers_at_limits() : numbers_at_limits()) {
    json changed = list.empty() ? json::array({first}) : list;
    changed[0] = value;
    lists.push_back(changed);
    lists.push_back(json(std::max<size_t>(list.size(), 1), value));
  }
  for (const size_t length : {0, 1, 2, 3, 12, 13, 64, 65, 1000})
    lists.push_back(json(length, first));
  return lists;
}

std::vector<json> at_limits(const json& value) {
  std::vector<json> values;
  if (value.is_array())
    values = lists_at_limits(value);
  else if (value.is_number_integer())
    values = integers_at_limits();
  else if (value.is_number())
    values = numbers_at_limits();
  for (const json& other : {json("x"), json(true), json(json::object()), json(json::array({"x"}))})
    values.push_back(other);
  return values;
}

// The words that a setting may have, as the Error of a wrong one lists them; none where any text
// will do.
std::vector<std::string> words_of(const json& table, const Pointer& setting, const Read& read) {
  json wrong = table;
  wrong[setting] = "?";
  const std::string message = error_of([&] { read(wrong); }), before = "It is one of: ";
  std::vector<std::string> words;
  if (const size_t at = message.find(before); at != std::string::npos) {
    std::istringstream list(message.substr(at + before.size()));
    for (std::string word; std::getline(list >> std::ws, word, ',');) words.push_back(word);
  }
  return words;
}

void list_settings(const json& table, const Pointer& at, std::vector<Pointer>& settings) {
  for (const auto& [key, value] : table.items()) {
    if (value.is_object())
      list_settings(value, at / key, settings);
    else
      settings.push_back(at / key);
  }
}

// Takes every setting of the table, and of those that other words lead to, to its limits. `works`
// gets what was accepted.
class AtLimits {
 public:
  AtLimits(Read read, std::function<void(const json&)> works)
      : read_(std::move(read)), works_(std::move(works)) {}

  void explore(const json& table) {
    json resolved;
    if (const std::string why = error_of([&] { resolved = read_(table); }); !why.empty()) {
      CAPTURE(table.dump());
      CAPTURE(why);
      CHECK(why.find("out of memory") == std::string::npos);
      return;  // words that do not go together
    }
    std::vector<Pointer> settings;
    list_settings(resolved, Pointer(), settings);
    for (const Pointer& setting : settings) {
      if (!seen_.insert(setting.to_string()).second) continue;
      const json value = resolved[setting];
      for (const json& other : at_limits(value)) set(table, setting, other);
      if (!value.is_string()) continue;
      for (const std::string& word : words_of(table, setting, read_)) {
        json changed = table;
        changed[setting] = word;
        explore(changed);
      }
    }
  }
  int64_t settings() const { return std::ssize(seen_); }

 private:
  void set(const json& table, const Pointer& setting, const json& value) {
    json changed = table;
    changed[setting] = value;
    CAPTURE(changed.dump());
    json resolved;
    std::string why;
    try {
      resolved = read_(changed);
    } catch (const Error& error) {  // another exception fails the test
      why = error.what();
    }
    if (why.empty()) {
      works_(changed);
    } else {
      CAPTURE(why);
      CHECK(why.find('\n') == std::string::npos);
      CHECK(why.size() < 400);
      CHECK(why.find("out of memory") == std::string::npos);
      CHECK(why.find("file") == 0);
    }
  }

  Read read_;
  std::function<void(const json&)> works_;
  std::set<std::string> seen_;
};

Preprocess images_of(int64_t height, int64_t width, int64_t channels = 3) {
  Preprocess preprocess;
  preprocess.height = height, preprocess.width = width, preprocess.channels = channels;
  return preprocess;
}

std::vector<std::string> all_models() {
  return words_of(json::object(), Pointer("/name"), [](const json& table) {
    return size_of_model(table, images_of(64, 64), "file").config;
  });
}

// Its embedding of a picture, where that takes little.
void use_model(const json& config, const Preprocess& preprocess) {
  constexpr int64_t kLittle = 1 << 18;
  const ModelSize size = size_of_model(config, preprocess, "file");
  CHECK(size.weight_bytes >= 0);
  CHECK(size.activation_bytes > 0);
  if (size.weight_bytes > kLittle || size.activation_bytes > kLittle) return;
  const Model model = build_model(config, preprocess, 0, "file");
  const NoGrad no_grad;
  const Tensor picture = testing::random_tensor(
      {1, preprocess.height, preprocess.width, preprocess.channels}, DType::f32);
  const Tensor embedding = model.network->forward(Variable(picture), {}).value();
  CHECK(first_row_not_finite(embedding) < 0);
}

TEST_CASE("every setting of every network at its limits and beyond") {
  const std::vector<std::string> models = all_models();
  REQUIRE(models.size() >= 10);
  for (const std::string& name : models) {
    CAPTURE(name);
    const Preprocess preprocess = images_of(40, 40);
    AtLimits limits(
        [&](const json& table) { return size_of_model(table, preprocess, "file").config; },
        [&](const json& table) { use_model(table, preprocess); });
    json table{{"name", name}};
    limits.explore(table);
    table["center"] = true;
    table["head"] = {{"embedding", 4}};
    table["whiten"] = {{"directions", 2}};
    limits.explore(table);
    CHECK(limits.settings() >= 12);
  }
}

TEST_CASE("every size of image") {
  for (const std::string& name : all_models()) {
    for (const json& head : {json(), json{{"embedding", 4}}}) {
      json table{{"name", name}};
      if (!head.is_null()) table["head"] = head;
      for (const int64_t height : {1, 2, 3, 27, 28, 30, 31, 32, 33, 4095, 4096}) {
        for (const int64_t width : {height, int64_t{1}, int64_t{32}, int64_t{4096}}) {
          CAPTURE(name);
          CAPTURE(height);
          CAPTURE(width);
          const std::string why =
              error_of([&] { use_model(table, images_of(height, width, height % 2 ? 1 : 3)); });
          CAPTURE(why);
          CHECK((why.empty() || why.starts_with("file")));
        }
      }
    }
  }
}

TEST_CASE("a model file's settings at their limits and beyond") {
  TemporaryFolder folder;
  const std::string path =
      folder / "file";  // has no weights, so that only a network without any is loaded
  const Preprocess preprocess = images_of(40, 40);
  for (const std::string& name : all_models()) {
    const Read load = [&](const json& table) {
      const json metadata{{"format", "lookalike-1"},
                          {"model", table.dump()},
                          {"preprocess", to_json(preprocess).dump()}};
      const std::string header = json{{"__metadata__", metadata}}.dump();
      const uint64_t size = header.size();
      write_bytes(path, std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + header);
      const std::string why = error_of([&] { load_model(path); });
      CAPTURE(table.dump());
      CAPTURE(why);
      CHECK((why.starts_with(path) ||
             (why.empty() && size_of_model(table, preprocess, "file").weight_bytes == 0)));
      CHECK(why.find('\n') == std::string::npos);
      return size_of_model(table, preprocess, "file").config;
    };
    AtLimits(load, [](const json&) {}).explore({{"name", name}});
  }
}

TEST_CASE("integers that no int64_t holds are no settings") {
  for (const json& value : {json(std::numeric_limits<uint64_t>::max()), json(uint64_t{1} << 63)}) {
    for (const char* setting : {"embedding", "filters"}) {
      json table{{"name", "siamese_cnn"}, {"kernels", {3}}};
      table[setting] = std::string(setting) == "filters" ? json::array({value}) : value;
      const std::string why = error_of([&] { size_of_model(table, images_of(32, 32), "file"); });
      CHECK(why.find(std::string("file: ") + setting + " = ") == 0);
      CHECK(why.find("from 1 to 65536") != std::string::npos);
    }
    json its = to_json(images_of(32, 32));
    its["height"] = value;
    CHECK(error_of([&] { preprocess_from_json(its, "file"); }).find("file: height = ") == 0);
  }
}

TEST_CASE("a network that no machine holds is refused before its weights are made") {
  const auto says = [](const json& table, const Preprocess& preprocess, const char* part) {
    const std::string why = error_of([&] { build_model(table, preprocess, 0, "file"); });
    CAPTURE(why);
    CHECK(why.starts_with("file: "));
    CHECK(why.find(part) != std::string::npos);
  };
  const json wide(16, 65536);
  says({{"name", "siamese_cnn"}, {"dense", wide}}, images_of(64, 64), "make the network too large");
  says({{"name", "resnet50"}, {"width", 65536}}, images_of(64, 64), "make the network too large");
  // Few weights that make much of each image.
  says({{"name", "conv_encoder"}, {"filters", {65536}}}, images_of(4096, 4096),
       "what it makes of one image");
}

json recipe_table(const json& table) {
  const Recipe recipe = parse_recipe(to_toml(table), "file", {});
  for (const int64_t steps : {int64_t{1}, int64_t{1} << 31}) {
    const Schedule schedule = make_schedule(recipe, steps);
    for (const int64_t step : {int64_t{0}, steps - 1, recipe.epochs * steps - 1}) {
      CHECK(schedule.at(step) >= 0);
      CHECK(schedule.at(step) <= 1e38);
    }
  }
  return recipe.resolved;
}

TEST_CASE("every setting of a recipe at its limits and beyond") {
  AtLimits limits(recipe_table, [](const json&) {});
  limits.explore(json::object());
  CHECK(limits.settings() >= 50);
}

TEST_CASE("--set takes settings to their limits as a file does") {
  for (const char* value :
       {"9223372036854775808", "-1", "nan", "inf", "1e999", "[9223372036854775807]"}) {
    for (const char* key : {"train.epochs", "train.seed", "evaluate.lists",
                            "optimizer.learning_rate", "loss.margin"}) {
      const std::string why =
          error_of([&] { parse_recipe("", "file", {fmt::format("{}={}", key, value)}); });
      CAPTURE(why);
      CHECK(why.find(std::string(key).substr(std::string(key).find('.') + 1)) != std::string::npos);
      CHECK(why.find("expected") != std::string::npos);
    }
  }
}

TEST_CASE("lists of candidates that no memory holds are refused before they are drawn") {
  const std::vector<Pair> pairs = numbered_pairs(2000);
  for (const auto& [count, lists] : {std::pair<int64_t, int64_t>{2, 100'000'000},
                                     {20, 100'000},
                                     {2000, 100},
                                     {2, std::numeric_limits<int64_t>::max()}}) {
    const std::string why = error_of([&] { make_protocol(pairs, count, lists, 0); });
    CAPTURE(why);
    CHECK(why.find("expected at most") != std::string::npos);
  }
  ClassData data;
  for (int32_t label = 0; label < 100; label++) {
    data.classes.push_back(fmt::format("g/{}", label));
    for (int image = 0; image < 2; image++) {
      data.labels.push_back(label);
      data.names.push_back(fmt::format("{}/{}", label, image));
    }
  }
  for (const int64_t runs : {int64_t{100'000}, std::numeric_limits<int64_t>::max()})
    CHECK(error_of([&] { make_one_shot(data, 100, runs, 0); }).find("expected at most") !=
          std::string::npos);
  CHECK(make_one_shot(data, std::numeric_limits<int64_t>::max(), 1, 0).protocol.lists.count == 100);
  // As many candidates as there are pairs: time grows with their number alone.
  CHECK(make_candidates(pairs, 2000, 0).right[0].size() == 2000);
}

TEST_CASE("shapes whose product overflows are refused, also beside an extent of 0") {
  const int64_t large = int64_t{1} << 40;
  CHECK(error_of([&] { Shape({large, large}); }).find("2^62") != std::string::npos);
  CHECK(error_of([&] { Shape({0, large, large}); }).find("2^62") != std::string::npos);
  CHECK(Shape({large, 0, 3}).size() == 0);
  CHECK(Shape({0, large}).row_size() == large);
  CHECK(error_of([&] { Tensor(Shape{int64_t{1} << 61}, DType::f64); }).find("no memory holds") !=
        std::string::npos);
}

}  // namespace
}  // namespace lookalike
