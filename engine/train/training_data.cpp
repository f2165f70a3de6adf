#include "engine/train/training_data.h"

#include <filesystem>
#include <numeric>

#include "engine/data/classes.h"
#include "engine/eval/one_shot.h"

namespace lookalike {

namespace fs = std::filesystem;

namespace {

// The pairs of a run and the files that they were read from.
struct PairSplit {
  Split pairs;
  std::string train_file, validation_file;
};

// Those of the data folder where it has them and the recipe does not insist on its own, else drawn from all that there is.
PairSplit split_of(const Recipe& recipe, const fs::path& folder) {
  const fs::path train = folder / "train.csv", validation = folder / "val.csv", test = folder / "test.csv";
  if (recipe.split_by_ratios || !fs::exists(train) || !fs::exists(validation)) {
    const fs::path pairs = folder / "pairs.csv", all = fs::exists(pairs) || !fs::exists(train) ? pairs : train;
    return {split_pairs(read_pairs(all), recipe.split_ratios, recipe.split_seed), all, all};
  }
  Split split{read_pairs(train), read_pairs(validation), {}};
  if (fs::exists(test)) split.test = read_pairs(test);
  return {std::move(split), train, validation};
}

std::vector<std::vector<std::string>> table_of(std::span<const Pair> pairs) {
  std::vector<std::vector<std::string>> rows{{"left", "right"}};
  for (const Pair& pair : pairs) rows.push_back({pair.left, pair.right});
  return rows;
}

TrainingData open_pairs(const Recipe& recipe, const std::string& folder, OnCorrupt on_corrupt) {
  const std::string sampler = recipe.sampler == "auto" ? "pairs" : recipe.sampler;
  check(sampler == "pairs" || sampler == "views",
        "{}: holds pairs, for which there is no sampler '{}', expected pairs or views", folder, sampler);
  check(recipe.held_out.empty(), "{}: holds pairs, expected no split.held_out", folder);
  check(!recipe.rotated_classes && !recipe.mirrored_classes,
        "{}: holds pairs, sampler.rotated_classes and mirrored_classes are for classes", folder);
  check(sampler == "pairs" || !recipe.hard_negatives, "{}: sampler.hard_negatives is for sampler 'pairs', not '{}'",
        folder, sampler);
  const PairSplit split = split_of(recipe, folder);
  const std::string images = pairs_folder(folder, "train");
  PairData train = load_pairs(images, split.pairs.train, split.train_file, recipe.preprocess, on_corrupt);
  PairData validation =
      load_pairs(images, split.pairs.validation, split.validation_file, recipe.preprocess, on_corrupt);

  TrainingData data;
  data.protocol = make_protocol(validation.pairs, recipe.candidates, recipe.lists, recipe.evaluate_seed);
  std::vector<int64_t> train_images;
  for (const auto& [left, right] : train.samples) train_images.insert(train_images.end(), {left, right});
  for (const auto& [left, right] : validation.samples) data.left.push_back(left), data.right.push_back(right);
  data.pairs = train.samples;
  data.sampler =
      sampler == "pairs" ? pair_sampler(train.samples, recipe.seed) : view_sampler(train_images, recipe.seed);
  data.validation_sampler = pair_sampler(validation.samples, recipe.seed);
  data.splits = {{"train.csv", table_of(split.pairs.train)},
                 {"val.csv", table_of(split.pairs.validation)},
                 {"test.csv", table_of(split.pairs.test)}};
  data.train = std::move(train);
  data.validation = std::move(validation);
  return data;
}

TrainingData open_classes(const Recipe& recipe, const std::string& folder, OnCorrupt on_corrupt) {
  const std::string sampler = recipe.sampler == "auto" ? "classes" : recipe.sampler;
  check(sampler != "pairs",
        "{}: holds classes, for which there is no sampler 'pairs', expected classes, same_different or views", folder);
  check(!recipe.hard_negatives, "{}: holds classes, sampler.hard_negatives is for pairs", folder);
  ClassData train = load_classes(folder, "train", recipe.preprocess, on_corrupt), validation;
  if (recipe.held_out.empty()) {
    check(layout_of(folder) != Layout::folders || fs::is_directory(fs::path(folder) / "test"),
          "{}: nothing to validate with, expected folders train/ and test/, or the names of groups in split.held_out",
          folder);
    validation = load_classes(folder, "test", recipe.preprocess, on_corrupt);
  } else {
    validation = only_groups(train, recipe.held_out);
    train = without_groups(train, recipe.held_out);
  }

  TrainingData data;
  data.splits["classes.csv"] = {{"class", "part"}};
  for (const auto& [part, of] : {std::pair("train", &train), {"val", &validation}})
    for (const std::string& name : of->classes) data.splits["classes.csv"].push_back({name, part});
  if (recipe.rotated_classes) train = with_rotations(train);
  if (recipe.mirrored_classes) train = with_mirrors(train);

  const auto sampler_of = [&](const ClassData& of) {
    return sampler == "same_different" ? same_different_sampler(of.labels, recipe.seed)
                                       : class_sampler(of.labels, recipe.seed);
  };
  data.sampler = sampler == "views" ? view_sampler(train.images.all(), recipe.seed) : sampler_of(train);
  data.validation_sampler = sampler_of(validation);
  data.mixed_samples = sampler == "same_different";
  OneShot one_shot = make_one_shot(validation, recipe.candidates, recipe.lists, recipe.evaluate_seed);
  data.protocol = std::move(one_shot.protocol);
  data.left = std::move(one_shot.left), data.right = std::move(one_shot.right);
  data.train = std::move(train);
  data.validation = std::move(validation);
  return data;
}

}  // namespace

TrainingData open_training_data(const Recipe& recipe, const std::string& folder, OnCorrupt on_corrupt) {
  return layout_of(folder) == Layout::pairs ? open_pairs(recipe, folder, on_corrupt)
                                            : open_classes(recipe, folder, on_corrupt);
}

}  // namespace lookalike
