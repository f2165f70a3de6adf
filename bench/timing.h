#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

namespace lookalike {

// The runs of one measurement: sorted seconds of each, and their sum.
struct Times {
  std::vector<double> each;
  double all = 0;

  double median() const { return each[each.size() / 2]; }
  double fastest() const { return each[0]; }
};

// Repeats run() until `seconds` have passed, three times at least, after three that don't count.
template <class Run>
Times time_runs(double seconds, const Run& run) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  for (int i = 0; i < 3; i++) run();
  Times times;
  const auto start = Clock::now();
  while (times.each.size() < 3 || since(start) < seconds) {
    const auto begin = Clock::now();
    run();
    times.each.push_back(since(begin));
  }
  times.all = since(start);
  std::ranges::sort(times.each);
  return times;
}

}  // namespace lookalike
