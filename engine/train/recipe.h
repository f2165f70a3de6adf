// A recipe: one TOML file that names everything a training run depends on besides its data. Any key can be overridden.
//
//   [model]         name and its own options: models/<name>.cpp
//   [input]         size, colours, normalisation: engine/data/preprocess.h
//   [loss]          its name and its own options: objective.cpp
//   [sampler]       name = auto | pairs | classes | same_different | views: engine/data/sampler.h; auto: pairs, or of class data
//                   classes; hard_negatives: batches are made of pairs and their hardest negatives in the whole training set;
//                   rotated_classes: each class turned by 90, 180 and 270 degrees is a further class; mirrored_classes: so is its mirror image
//   [optimizer]     name = sgd | adam | adamw and its options, clip_norm (0: off): engine/optim/optimizer.h;
//                   stage_decay: a stage of the network learns by this factor slower than the next (1: all alike);
//                   learning_rate, schedule = constant | step | cosine and its options: engine/optim/schedule.h
//   [augmentation]  all off by default: engine/data/augment.h
//   [train]         batch_pairs, epochs, seed; monitor: a validation metric, or "last": the last epoch is the model; patience: epochs
//                   without a better one before the run ends (0: never); checkpoint_steps: also within an epoch (0: no);
//                   start: a checkpoint whose tensors the network starts with, as far as it has them, or "random"; freeze: the last layer that stays as it is
//   [split]         ratios, seed: of pairs; from: "folder", its train.csv and val.csv where it has them, or "ratios" in any case; held_out: of class folders, the groups or
//                   classes that validate
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

constexpr int64_t kMostBatchPairs = 1 << 16;

struct Recipe {
  nlohmann::json resolved;  // every section but [model], each key with its value, defaults filled in
  nlohmann::json model;     // [model] as given; models/registry.cpp reads it
  Preprocess preprocess;
  Objective objective;
  std::string sampler;
  bool hard_negatives, rotated_classes, mirrored_classes;
  Augmentation augmentation;

  OptimizerOptions optimizer;
  double clip_norm, stage_decay;

  int64_t batch_pairs, epochs, patience, checkpoint_steps;
  uint64_t seed;
  std::string monitor;  // a validation metric: "loss" (lower is better) or "top1", "top2", "top4", "mrr"; or "last"
  std::string start, freeze;  // empty: nothing

  std::array<double, 3> split_ratios;
  uint64_t split_seed;
  bool split_by_ratios;
  std::vector<std::string> held_out;
  int64_t candidates, lists;
  uint64_t evaluate_seed;
};

// Reads a recipe and applies `overrides`, each "section.key=value". Errors name the file and key and, for unknown ones,
// the nearest. The other form takes its text; `where` names it in messages.
Recipe read_recipe(const std::string& path, const std::vector<std::string>& overrides);
Recipe parse_recipe(const std::string& text, const std::string& where, const std::vector<std::string>& overrides);

// The learning rate over the steps of a run; schedules count in epochs, whose length the data decides.
Schedule make_schedule(const Recipe& recipe, int64_t steps_per_epoch);

}  // namespace lookalike
