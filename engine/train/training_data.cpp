#include "engine/train/training_data.h"

#include <filesystem>
#include <set>

#include "engine/data/class_split.h"
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

// Those of the data folder, as far as it has them and the recipe does not insist on its own: a part that is there is never drawn from, but by the
// part that it is.
PairSplit split_of(const Recipe& recipe, const fs::path& folder) {
  const fs::path train = folder / "train.csv", validation = folder / "val.csv", test = folder / "test.csv",
                 pairs = folder / "pairs.csv";
  std::array<double, 3> ratios = recipe.split_ratios;
  if (recipe.split_by_ratios && fs::exists(pairs))
    return {split_pairs(read_pairs(pairs), ratios, recipe.split_seed), pairs, pairs};
  check(fs::exists(train) || !fs::exists(validation) || recipe.split_by_ratios,
        "{}: stands without train.csv, expected both (lookalike data split makes them)", validation.string());
  Split split;
  if (fs::exists(test) && !recipe.split_by_ratios) split.test = read_pairs(test), ratios[2] = 0;
  if (!fs::exists(train)) {
    std::vector<Pair> rest = read_pairs(pairs);
    std::set<std::string> left, right;  // of the test part
    for (const Pair& pair : split.test) left.insert(pair.left), right.insert(pair.right);
    std::erase_if(rest, [&](const Pair& pair) { return left.contains(pair.left) || right.contains(pair.right); });
    Split drawn = split_pairs(rest, ratios, recipe.split_seed);
    if (split.test.empty()) split.test = std::move(drawn.test);
    split.train = std::move(drawn.train), split.validation = std::move(drawn.validation);
    return {std::move(split), pairs, pairs};
  }
  if (fs::exists(validation) && !recipe.split_by_ratios) {
    split.train = read_pairs(train), split.validation = read_pairs(validation);
    return {std::move(split), train, validation};
  }
  // Beside pairs.csv train.csv is a part of it; alone, as the course's data has it, it is all that there is to train with and measure on.
  if (fs::exists(pairs)) ratios[2] = 0;
  Split drawn = split_pairs(read_pairs(train), ratios, recipe.split_seed);
  if (split.test.empty()) split.test = std::move(drawn.test);
  split.train = std::move(drawn.train), split.validation = std::move(drawn.validation);
  return {std::move(split), train, train};
}

std::vector<std::vector<std::string>> table_of(std::span<const Pair> pairs) {
  std::vector<std::vector<std::string>> rows{{"left", "right"}};
  for (const Pair& pair : pairs) rows.push_back({pair.left, pair.right});
  return rows;
}

std::vector<std::vector<std::string>> names_of(std::span<const std::string> images) {
  std::vector<std::vector<std::string>> rows{{"image"}};
  for (const std::string& image : images) rows.push_back({image});
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
  check(validation.pairs.size() >= 2,
        "{}: {} pair to validate with, expected two or more; other shares: lookalike data split --ratios, or "
        "split.ratios "
        "of the recipe",
        split.validation_file, validation.pairs.size());
  data.protocol = make_protocol(validation.pairs, recipe.candidates, recipe.lists, recipe.evaluate_seed);
  if (const std::string shorter = shorter_lists(data.protocol, recipe.candidates); !shorter.empty())
    data.notes.push_back("validation has " + shorter);
  std::vector<int64_t> train_images;
  std::set<int64_t> is_there;
  for (const auto& sample : train.samples)
    for (const int64_t image : sample)
      if (is_there.insert(image).second) train_images.push_back(image);
  data.left = validation.images_of(0), data.right = validation.images_of(1);
  data.pairs = train.samples;
  data.sampler = sampler == "pairs" ? pair_sampler(train.samples, recipe.seed, train.labels)
                                    : view_sampler(train_images, recipe.seed);
  data.validation_sampler = pair_sampler(validation.samples, recipe.seed, validation.labels);
  data.splits = {{"train.csv", table_of(split.pairs.train)},
                 {"val.csv", table_of(split.pairs.validation)},
                 {"test.csv", table_of(split.pairs.test)}};
  data.notes.insert(data.notes.end(), train.passed_over.begin(), train.passed_over.end());
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
  std::vector<std::string> test;
  if (!recipe.held_out.empty()) {
    validation = only_groups(train, recipe.held_out);
    train = without_groups(train, recipe.held_out);
  } else if (has_part(folder, "val")) {
    validation = load_classes(folder, "val", recipe.preprocess, on_corrupt);
  } else if (recipe.monitor == "last" && has_part(folder, "test")) {
    // It chooses nothing and is measured alone.
    validation = load_classes(folder, "test", recipe.preprocess, on_corrupt);
  } else {
    std::array<double, 3> ratios = recipe.split_ratios;
    if (has_part(folder, "test")) ratios[2] = 0;
    const ClassSplit split = split_classes(train.labels, ratios, recipe.split_seed);
    for (const int64_t image : split.images[2]) test.push_back(train.names[image]);
    validation = select(train, split.images[1]);
    train = select(train, split.images[0]);
  }
  if (layout_of(folder) == Layout::folders && has_part(folder, "test")) test = list_classes(folder, "test").names;
  check(train.classes.size() >= 2 && validation.classes.size() >= 2,
        "{}: {} classes to train with and {} to validate with, expected two or more of each", folder,
        train.classes.size(), validation.classes.size());

  if (validation.skipped == train.skipped) validation.skipped.clear();  // both come of one part
  TrainingData data;
  data.splits = {{"train.csv", names_of(train.names)}, {"val.csv", names_of(validation.names)}};
  if (!test.empty()) data.splits["test.csv"] = names_of(test);
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
  data.notes.insert(data.notes.end(), train.passed_over.begin(), train.passed_over.end());
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
