// Learning rate over the steps of a training run. With t = step - warmup_steps, counted from 0:
//   warm-up   rate * (step + 1) / (warmup_steps + 1)      while step < warmup_steps, then
//   constant  rate
//   step      rate * step_factor^floor(t / step_every)
//   cosine    low + (rate - low) * (1 + cos(pi * t / (total_steps - warmup_steps))) / 2,  low = rate * final_fraction;
//             low from total_steps on (Loshchilov, Hutter, "SGDR" 2017, without restarts)
#pragma once

#include <cstdint>
#include <string>

namespace lookalike {

class Options;

// How many a run may have; times the steps of any epoch it is an int64_t.
constexpr int64_t kMostEpochs = 1'000'000;

struct ScheduleOptions {
  std::string name = "constant";  // constant | step | cosine
  double rate = 1e-3;
  int64_t warmup_steps = 0;
  int64_t total_steps = 0;  // cosine
  double final_fraction = 0;
  int64_t step_every = 0;  // step
  double step_factor = 0.1;
};

class Schedule {
 public:
  // Error on an unknown name, a rate that is not positive, or a length that is missing.
  explicit Schedule(const ScheduleOptions& options);

  // The learning rate of step 0, 1, ...
  double at(int64_t step) const;

 private:
  ScheduleOptions options_;
};

// From settings, which count in epochs: learning_rate, schedule, warmup_epochs (a fraction is fine), and final_fraction
// for cosine, step_epochs and step_factor for step.
ScheduleOptions read_schedule(Options& options, int64_t epochs, int64_t steps_per_epoch);

}  // namespace lookalike
