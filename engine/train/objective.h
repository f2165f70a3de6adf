// The loss that a recipe names, applied to what a network makes of a batch of samples.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/core/options.h"
#include "engine/losses/loss.h"
#include "engine/nn/network.h"

namespace lookalike {

// A network's output for a batch, rows i and N + i of one sample, and what else a loss may look at.
struct LossInput {
  Variable output;                  // Network::training_output of the images that `input` of the objective names
  std::span<const int32_t> labels;  // 2N, the class of each image
  // The samples are the pairs to judge, similar ones and dissimilar ones. Otherwise both images of a sample are of one class,
  // and dissimilar pairs are made across samples.
  bool mixed_samples = false;
  Tensor images = {};          // [2N,H,W,C], the targets of a reconstruction
  Matcher* matcher = nullptr;  // of the network
  uint64_t seed = 0;           // of the losses that draw negatives
};

// Which images of a batch go through the network.
enum class InputViews : uint8_t { both, left, right };

struct Objective {
  std::string name;
  std::function<LossResult(const LossInput&)> loss;
  InputViews input = InputViews::both;

  int64_t views() const { return input == InputViews::both ? 2 : 1; }
  // The rows of `images` [2N, ...] that go through the network.
  Tensor input_of(const Tensor& images) const;
};

// Reads the [loss] section. A new loss is one entry of the table in objective.cpp.
Objective make_objective(Options& options);
// The names of the losses that have an option of this name.
std::vector<std::string> losses_with(const std::string& key);

}  // namespace lookalike
