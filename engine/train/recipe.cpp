#include "engine/train/recipe.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "engine/eval/protocol.h"
#include "engine/io/input_file.h"

namespace lookalike {

using nlohmann::json;

namespace {

Recipe recipe_of(const json& table, const std::string& path) {
  Recipe recipe;
  Options options(table, path);
  const auto read = [&](const char* key, auto&& body) {
    Options section = options.section(key);
    body(section);
    options.add_section(key, section);
  };
  read("input", [&](Options& o) { recipe.preprocess = read_preprocess(o); });
  read("loss", [&](Options& o) { recipe.objective = make_objective(o); });
  read("sampler", [&](Options& o) {
    recipe.sampler = o.choice("name", "auto", {"auto", "pairs", "classes", "same_different", "views"});
    recipe.hard_negatives = o.flag("hard_negatives", false);
    recipe.rotated_classes = o.flag("rotated_classes", false);
    recipe.mirrored_classes = o.flag("mirrored_classes", false);
    check(recipe.sampler != "same_different" || recipe.objective.name == "contrastive" ||
              recipe.objective.name == "match" || recipe.objective.name == "softmax",
          "{}: sampler 'same_different' makes pairs of two classes, with which loss '{}' can do nothing, expected "
          "contrastive, match or softmax",
          path, recipe.objective.name);
  });
  read("augmentation", [&](Options& o) { recipe.augmentation = read_augmentation(o); });
  read("train", [&](Options& o) {
    recipe.batch_pairs = o.integer("batch_pairs", 32, 2, kMostBatchPairs);
    recipe.epochs = o.integer("epochs", 10, 1, kMostEpochs);
    recipe.seed = o.integer("seed", 0, 0, kAnySeed);
    recipe.monitor = o.choice("monitor", "top2", {"loss", "top1", "top2", "top4", "mrr", "last"});
    recipe.patience = o.integer("patience", 0, 0, kMostEpochs);
    recipe.checkpoint_steps =
        o.integer("checkpoint_steps", 0, 0, std::numeric_limits<int32_t>::max());
    recipe.start = o.text("start", "");
    recipe.freeze = o.text("freeze", "");
  });
  read("optimizer", [&](Options& o) {
    recipe.optimizer = read_optimizer(o);
    recipe.clip_norm = o.number("clip_norm", 0, 0, 1e38);
    recipe.stage_decay = o.number("stage_decay", 1, 0, 1);
    read_schedule(o, recipe.epochs, 1);
  });
  read("split", [&](Options& o) {
    const auto ratios = o.numbers("ratios", {70, 15, 15}, 0, kLargeNumber);
    check(ratios.size() == 3, "{}: split: ratios has {} numbers, expected 3: train, validation, test", path,
          ratios.size());
    std::copy(ratios.begin(), ratios.end(), recipe.split_ratios.begin());
    recipe.split_seed = o.integer("seed", 0, 0, kAnySeed);
    recipe.split_by_ratios = o.choice("from", "folder", {"folder", "ratios"}) == "ratios";
    recipe.held_out = o.texts("held_out");
  });
  read("evaluate", [&](Options& o) {
    recipe.candidates = o.integer("candidates", 20, 2, kMostCandidates);
    recipe.lists = o.integer("lists", 5, 1, kMostLists);
    recipe.evaluate_seed = o.integer("seed", 0, 0, kAnySeed);
  });
  const auto all = [](const std::vector<float>& values, float value) {
    return std::ranges::all_of(values, [&](float x) { return x == value; });
  };
  check(recipe.objective.name != "reconstruction" || (all(recipe.preprocess.mean, 0) && all(recipe.preprocess.std, 1)),
        "{}: loss 'reconstruction' draws values from 0 to 1, expected no input.mean and input.std", path);
  Options model = options.section("model");  // its keys are the network's own: models/registry.cpp reads them
  options.finish();
  recipe.model = table.value("model", json::object());
  recipe.resolved = options.resolved();
  return recipe;
}

// "loss.margin", ... of every setting in the table.
void list_keys(const json& table, const std::string& prefix, std::vector<std::string>& keys) {
  for (const auto& [key, value] : table.items()) {
    if (value.is_object())
      list_keys(value, prefix + key + '.', keys);
    else
      keys.push_back(prefix + key);
  }
}

std::string last_part(const std::string& key) {
  return key.substr(key.rfind('.') + 1);
}

// Error when the key of an override stands in another section than the one it names, or names none.
void check_sections(const Recipe& recipe, const std::vector<std::string>& overrides) {
  std::vector<std::string> keys, names;
  list_keys(recipe.resolved, "", keys);
  list_keys(recipe.model, "model.", keys);
  std::ranges::transform(keys, std::back_inserter(names), last_part);
  for (const std::string& assignment : overrides) {
    const std::string key = assignment.substr(0, assignment.find('=')), name = last_part(key);
    if (std::ranges::find(keys, key) != keys.end()) continue;
    std::vector<std::string> meant, sections;
    for (const std::string& other : keys) {
      if (last_part(other) != name) continue;
      meant.push_back(other);
      sections.push_back('[' + other.substr(0, other.rfind('.')) + ']');
    }
    check(meant.empty(), "--set {}: {} is a key of {}: did you mean {}?", assignment, name,
          fmt::join(sections, " and of "), fmt::join(meant, " or "));
    if (name != key) continue;
    const std::vector<std::string> losses = losses_with(name);
    check(losses.empty(),
          "--set {}: {} is a key of [loss] where loss.name is {}, and here it is {}: did you mean loss.{}?", assignment,
          name, fmt::join(losses, " or "), recipe.objective.name, name);
    const auto place = std::ranges::find(names, nearest(name, names)) - names.begin();
    fail("--set {}: expected section.key=value, did you mean {}?", assignment, keys[place]);
  }
}

Recipe override_recipe(json table, const std::string& where, const std::vector<std::string>& overrides) {
  const json plain = table;
  for (const std::string& assignment : overrides) set_option(table, assignment);
  try {
    return recipe_of(table, where);
  } catch (const Error&) {
    if (!overrides.empty()) check_sections(recipe_of(plain, where), overrides);
    throw;
  }
}

}  // namespace

Recipe read_recipe(const std::string& path, const std::vector<std::string>& overrides) {
  return override_recipe(parse_toml(read_file(path), path), path, overrides);
}

Recipe parse_recipe(const std::string& text, const std::string& where, const std::vector<std::string>& overrides) {
  return override_recipe(parse_toml(text, where), where, overrides);
}

Schedule make_schedule(const Recipe& recipe, int64_t steps_per_epoch) {
  Options options(recipe.resolved["optimizer"], "optimizer");
  return Schedule(read_schedule(options, recipe.epochs, steps_per_epoch));
}

}  // namespace lookalike
