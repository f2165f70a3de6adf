// The training loop: batches of samples through a network, loss, backward, optimiser; validation, checkpoints and a line
// of metrics every epoch.
//
// A run folder holds recipe.toml (as resolved), splits/, model.safetensors (best by the monitored metric),
// last.safetensors (to resume from) and metrics.jsonl. A run that was killed at any moment and resumed ends with the
// same weights as one that was not. Ctrl-C and SIGTERM end it at the next step with everything saved; before the first step
// they end the process. A finished run is lengthened by resuming it with more epochs, or another patience, where the learning
// rates so far are those of the longer run: it ends with the same weights as a run that was as long from the start.
#pragma once

#include <optional>
#include <string>

#include "engine/data/seen_images.h"
#include "engine/eval/verdict.h"
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

enum class TrainEnd {
  epochs,      // all of them are done
  patience,    // no better epoch for too long
  signal,      // Ctrl-C or SIGTERM
  was_before,  // a finished run was resumed: nothing was done, nothing written
};

struct TrainResult {
  TrainEnd end = TrainEnd::epochs;
  int64_t epochs = 0, best_epoch = 0;
  double best = 0;                     // of the monitored metric
  int64_t step = 0, steps = 0;         // done of the next epoch, and in each
  int signal = 0;                      // which one, where one ended it
  std::optional<Verdict> over_pixels;  // the best epoch against raw pixels, top-1 of validation
};

// `recipe.resolved` must hold the resolved [model] of `network`; it goes into every file that the run writes.
// The network is frozen already as `recipe.freeze` says. Leaves it on the device of the job.
TrainResult train(const Recipe& recipe, Network& network, const TrainJob& job);

}  // namespace lookalike
