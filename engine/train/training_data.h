// What a run trains on and what validates it, from the folder it is given: pairs (pairs.h) or classes (classes.h).
#pragma once

#include <map>

#include "engine/data/loader.h"
#include "engine/eval/protocol.h"
#include "engine/train/recipe.h"

namespace lookalike {

struct TrainingData {
  Dataset train, validation;
  Sampler sampler, validation_sampler;
  bool mixed_samples = false;                 // as in LossInput
  std::vector<std::array<int64_t, 2>> pairs;  // of train, where it is pairs

  Protocol protocol;                 // of validation
  std::vector<int64_t> left, right;  // the images of `validation` that the protocol names

  std::vector<std::string> notes;  // lines for people on how the data was taken

  // What tells this split from others, as tables: file name -> rows. A run keeps them in its folder.
  std::map<std::string, std::vector<std::vector<std::string>>> splits;
};

// Errors name the file and what was expected.
TrainingData open_training_data(const Recipe& recipe, const std::string& folder, OnCorrupt on_corrupt);

}  // namespace lookalike
