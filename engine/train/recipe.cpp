#include "engine/train/recipe.h"

#include <algorithm>

namespace lookalike {

using nlohmann::json;

Recipe read_recipe(const std::string& path, const std::vector<std::string>& overrides) {
  json table = read_toml(path);
  for (const std::string& assignment : overrides) set_option(table, assignment);

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
    recipe.batch_pairs = o.integer("batch_pairs", 32, 2);
    recipe.epochs = o.integer("epochs", 10, 1);
    recipe.seed = o.integer("seed", 0);
    recipe.monitor = o.choice("monitor", "top2", {"loss", "top1", "top2", "top4", "mrr", "last"});
    recipe.patience = o.integer("patience", 0);
    recipe.checkpoint_steps = o.integer("checkpoint_steps", 0);
    recipe.start = o.text("start", "");
    recipe.freeze = o.text("freeze", "");
  });
  read("optimizer", [&](Options& o) {
    recipe.optimizer = read_optimizer(o);
    recipe.clip_norm = o.number("clip_norm", 0, 0);
    recipe.stage_decay = o.number("stage_decay", 1, 0, 1);
    read_schedule(o, recipe.epochs, 1);
  });
  read("split", [&](Options& o) {
    const auto ratios = o.numbers("ratios", {70, 15, 15});
    check(ratios.size() == 3, "{}: split: ratios has {} numbers, expected 3: train, validation, test", path,
          ratios.size());
    std::copy(ratios.begin(), ratios.end(), recipe.split_ratios.begin());
    recipe.split_seed = o.integer("seed", 0);
    recipe.split_by_ratios = o.choice("from", "folder", {"folder", "ratios"}) == "ratios";
    recipe.held_out = o.texts("held_out");
  });
  read("evaluate", [&](Options& o) {
    recipe.candidates = o.integer("candidates", 20, 2);
    recipe.lists = o.integer("lists", 5, 1);
    recipe.evaluate_seed = o.integer("seed", 0);
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

Schedule make_schedule(const Recipe& recipe, int64_t steps_per_epoch) {
  Options options(recipe.resolved["optimizer"], "optimizer");
  return Schedule(read_schedule(options, recipe.epochs, steps_per_epoch));
}

}  // namespace lookalike
