#include "engine/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/core/error.h"
#include "engine/core/options.h"

namespace lookalike {

Schedule::Schedule(const ScheduleOptions& options) : options_(options) {
  const std::string& name = options.name;
  check(name == "constant" || name == "step" || name == "cosine",
        "schedule '{}' is unknown, expected one of: constant, step, cosine", name);
  check(options.rate > 0, "schedule: rate is {}, expected more than 0", options.rate);
  check(options.warmup_steps >= 0, "schedule: warmup_steps is {}, expected at least 0", options.warmup_steps);
  check(name != "step" || options.step_every > 0, "schedule: step_every is {}, expected at least 1",
        options.step_every);
  check(name != "cosine" || options.total_steps > options.warmup_steps,
        "schedule: total_steps is {}, expected more than the {} of warm-up", options.total_steps, options.warmup_steps);
}

double Schedule::at(int64_t step) const {
  const ScheduleOptions& o = options_;
  if (step < o.warmup_steps) return o.rate * static_cast<double>(step + 1) / static_cast<double>(o.warmup_steps + 1);
  const int64_t t = step - o.warmup_steps;
  if (o.name == "step") return o.rate * std::pow(o.step_factor, static_cast<double>(t / o.step_every));
  if (o.name == "cosine") {
    const double done = std::min(1.0, static_cast<double>(t) / static_cast<double>(o.total_steps - o.warmup_steps));
    const double low = o.rate * o.final_fraction;
    return low + (o.rate - low) * (1 + std::cos(std::numbers::pi * done)) / 2;
  }
  return o.rate;
}

ScheduleOptions read_schedule(Options& options, int64_t epochs, int64_t steps_per_epoch) {
  ScheduleOptions result;
  const auto steps = [&](double count) { return std::llround(count * static_cast<double>(steps_per_epoch)); };
  result.name = options.choice("schedule", result.name, {"constant", "step", "cosine"});
  result.rate = options.number("learning_rate", result.rate, 1e-30, 1e38);
  result.total_steps = epochs * steps_per_epoch;
  result.warmup_steps = std::min<int64_t>(steps(options.number("warmup_epochs", 0, 0, kMostEpochs)),
                                          std::max<int64_t>(result.total_steps - 1, 0));
  if (result.name == "cosine") result.final_fraction = options.number("final_fraction", result.final_fraction, 0, 1);
  if (result.name == "step") {
    result.step_every =
        std::max<int64_t>(steps(options.number("step_epochs", 10, 0, kMostEpochs)), 1);
    result.step_factor = options.number("step_factor", result.step_factor, 0, 1);
  }
  return result;
}

}  // namespace lookalike
