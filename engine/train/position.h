// Where a run stands, as it is kept in last.safetensors, and what must be true of it when it is read back.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace lookalike {

// Means over the steps of one epoch. Part of a checkpoint, so that a resumed epoch reports what the whole one would
// have.
struct Meter {
  double loss = 0, active_share = 0;
  int64_t steps = 0;

  void add(double step_loss, double active) { loss += step_loss, active_share += active, steps++; }
  double mean(double sum) const { return steps ? sum / static_cast<double>(steps) : 0; }
};

// Everything besides tensors that the next step depends on.
struct Position {
  int64_t epoch = 0, step = 0;        // the next step to do
  int64_t best_epoch = 0, stale = 0;  // epochs since the best one
  double best = NAN;
  Meter meter;
  std::vector<int64_t> hardest;     // of each pair, in this epoch, where hard negatives are asked for
  std::vector<int64_t> best_ranks;  // of the true partner in each list of validation, in the best epoch
};

nlohmann::json to_json(const Position& position);
// Error that begins with `path` and names the field, unless each is there and fits the others and a run of `epochs`.
// Files from before there were best_ranks have none.
Position position_from_json(const nlohmann::json& json, int64_t epochs, const std::string& path);
// The same of what the data decides. `candidates`: of the lists of validation.
void check_position(const Position& position, int64_t steps_per_epoch, int64_t pairs, int64_t lists, int64_t candidates,
                    const std::string& path);

// Settings that two resolved recipes disagree about, besides train.epochs and train.patience: a line for each, with the
// key, both values and the option that sets the first one. "a is X in the run and Y now (--set a=X)".
std::vector<std::string> recipe_differences(const nlohmann::json& run, const nlohmann::json& now);

}  // namespace lookalike
