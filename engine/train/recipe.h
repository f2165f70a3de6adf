// A recipe: one TOML file that names everything a training run depends on besides its data. Any key can be overridden.
//
//   [model]         name and its own options: models/<name>.cpp
//   [input]         size, colours, normalisation: engine/data/preprocess.h
//   [loss]          name = contrastive | triplet | nt_xent and its own options: objective.cpp
//   [optimizer]     name = sgd | adam | adamw and its options, clip_norm (0: off): engine/optim/optimizer.h;
//                   learning_rate, schedule = constant | step | cosine and its options: engine/optim/schedule.h
//   [augmentation]  all off by default: engine/data/augment.h
//   [train]         batch_pairs, epochs, seed; monitor: a validation metric, patience: epochs without a better one before
//                   the run ends (0: never); checkpoint_steps: also within an epoch (0: no)
//   [split]         ratios, seed: used where the data folder has no train.csv and val.csv
//   [evaluate]      candidates, lists, seed: how validation ranks
#pragma once

#include <array>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/data/augment.h"
#include "engine/data/preprocess.h"
#include "engine/optim/optimizer.h"
#include "engine/optim/schedule.h"
#include "engine/train/objective.h"

namespace lookalike {

struct Recipe {
  nlohmann::json resolved;  // every section but [model], each key with its value, defaults filled in
  nlohmann::json model;     // [model] as given; models/registry.cpp reads it
  Preprocess preprocess;
  Objective objective;
  Augmentation augmentation;

  OptimizerOptions optimizer;
  double clip_norm;

  int64_t batch_pairs, epochs, patience, checkpoint_steps;
  uint64_t seed;
  std::string monitor;  // a validation metric: "loss" (lower is better) or "top1", "top2", "top4", "mrr"

  std::array<double, 3> split_ratios;
  uint64_t split_seed;
  int64_t candidates, lists;
  uint64_t evaluate_seed;
};

// Reads a recipe and applies `overrides`, each "section.key=value". Errors name the file and key and, for unknown ones,
// the nearest.
Recipe read_recipe(const std::string& path, const std::vector<std::string>& overrides);

// The learning rate over the steps of a run; schedules count in epochs, whose length the data decides.
Schedule make_schedule(const Recipe& recipe, int64_t steps_per_epoch);

}  // namespace lookalike
