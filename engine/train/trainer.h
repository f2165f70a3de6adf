// The training loop: batches of samples through a network, loss, backward, optimiser; validation, checkpoints and a line
// of metrics every epoch.
//
// A run folder holds recipe.toml (as resolved), splits/, model.safetensors (best by the monitored metric),
// last.safetensors (to resume from) and metrics.jsonl. A run that was killed at any moment and resumed ends with the
// same weights as one that was not.
#pragma once

#include <string>

#include "engine/data/seen_images.h"
#include "engine/nn/network.h"
#include "engine/train/recipe.h"

namespace lookalike {

struct TrainJob {
  std::string data;  // a folder of pairs or classes
  std::string out;   // the run folder
  bool resume = false;
  bool skip_corrupt = false;
  // A folder: what the frozen layers make of each image is computed once and kept there; empty: no.
  std::string cache_features;
  SeenImages seen;  // by the weights that the network starts with
  Compute compute;
};

struct TrainResult {
  int64_t epochs = 0, best_epoch = 0;
  double best = 0;  // of the monitored metric
};

// `recipe.resolved` must hold the resolved [model] of `network`; it goes into every file that the run writes.
// The network is frozen already as `recipe.freeze` says. Leaves it on the device of the job.
TrainResult train(const Recipe& recipe, Network& network, const TrainJob& job);

}  // namespace lookalike
