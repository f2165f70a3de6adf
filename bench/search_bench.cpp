// Times the exact search of random unit rows, as search_top_k() has it.
#include <algorithm>
#include <chrono>
#include <exception>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <omp.h>

#include "engine/core/random.h"
#include "engine/eval/retrieval.h"

namespace lookalike {
namespace {

Tensor unit_rows(int64_t n, int64_t d, uint64_t seed) {
  Tensor rows({n, d});
  Random random(seed, RandomUse::test);
  for (float& value : rows.span<float>()) value = random.normal();
  return normalize_rows(rows);
}

nlohmann::json time_search(int64_t rows, int64_t width, int64_t queries, int64_t k,
                           double seconds) {
  const Tensor database = unit_rows(rows, width, 1), wanted = unit_rows(queries, width, 2);
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  std::vector<double> times;
  for (const auto start = Clock::now(); times.size() < 3 || since(start) < seconds;) {
    const auto begin = Clock::now();
    search_top_k(wanted, database, k);
    times.push_back(since(begin));
  }
  std::ranges::sort(times);
  return {{"rows", rows},
          {"width", width},
          {"queries", queries},
          {"k", k},
          {"ms", 1e3 * times[times.size() / 2]},
          {"best_ms", 1e3 * times[0]},
          {"threads", omp_get_max_threads()}};
}

}  // namespace
}  // namespace lookalike

int main(int argc, char** argv) {
  CLI::App app("Times exact top-k search of random rows in memory");
  int64_t rows = 1'000'000, width = 128, queries = 1, k = 20;
  double seconds = 5;
  app.add_option("--rows", rows, "Of the database")->capture_default_str();
  app.add_option("--width", width, "Values of a row")->capture_default_str();
  app.add_option("--queries", queries, "At a time")->capture_default_str();
  app.add_option("--k", k, "Rows wanted of each query")->capture_default_str();
  app.add_option("--seconds", seconds, "How long to measure")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    fmt::print("{}\n", lookalike::time_search(rows, width, queries, k, seconds).dump());
  } catch (const std::exception& error) {
    fmt::print(stderr, "search_bench: {}\n", error.what());
    return 1;
  }
}
