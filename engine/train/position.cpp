#include "engine/train/position.h"

#include <algorithm>
#include <set>

#include "engine/core/error.h"
#include "engine/core/options.h"

namespace lookalike {

using nlohmann::json;

namespace {

// The fields of an object that a file holds; everything wrong with one is an Error that names it.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    check(object.is_object(), "{}, expected an object", where_);
  }

  int64_t integer(const char* key, int64_t low, int64_t high) const { return as_integer(at(key), key, low, high); }

  double number(const char* key, double low, double high) const {
    const json& value = at(key);
    check(is_number_within(value, low, high), "{}: '{}' is {}, expected a number from {} to {}",
          where_, key, value.dump(), low, high);
    return value;
  }

  std::vector<int64_t> integers(const char* key) const {
    const json& list = at(key);
    check(list.is_array(), "{}: '{}' is {}, expected a list of numbers", where_, key, list.dump());
    std::vector<int64_t> values;
    for (const json& value : list) values.push_back(as_integer(value, key, 0, std::numeric_limits<int64_t>::max()));
    return values;
  }

  const json& at(const char* key) const {
    check(object_.contains(key), "{}: '{}' is missing", where_, key);
    return object_[key];
  }

 private:
  int64_t as_integer(const json& value, const char* key, int64_t low, int64_t high) const {
    check(is_integer_within(value, low, high), "{}: '{}' is {}, expected an integer from {} to {}",
          where_, key, value.dump(), low, high);
    return value;
  }

  const json& object_;
  std::string where_;
};

void add_differences(const json& run, const json& now, const std::string& key, std::vector<std::string>& lines) {
  static const std::set<std::string> own_option{"train.seed", "train.start", "train.freeze"};
  if (run == now || key == "train.epochs" || key == "train.patience") return;
  if (run.is_object() && now.is_object()) {
    std::set<std::string> names;
    for (const json* side : {&run, &now})
      for (const auto& [name, value] : side->items()) names.insert(name);
    for (const std::string& name : names)
      add_differences(run.contains(name) ? run[name] : json(), now.contains(name) ? now[name] : json(),
                      key.empty() ? name : key + '.' + name, lines);
    return;
  }
  const auto words = [](const json& value) { return value.is_null() ? "not set" : value.dump(); };
  std::string option;
  if (own_option.count(key) && !run.is_null()) {
    option = fmt::format(" (--{} {})", key.substr(std::strlen("train.")), run.dump());
  } else if (!run.is_null()) {
    option = fmt::format(" (--set {}={})", key, run.dump());
  }
  lines.push_back(fmt::format("{} is {} in the run and {} now{}", key, words(run), words(now), option));
}

}  // namespace

json to_json(const Position& p) {
  const json meter{{"loss", p.meter.loss}, {"active_share", p.meter.active_share}, {"steps", p.meter.steps}};
  return {{"epoch", p.epoch}, {"step", p.step}, {"best_epoch", p.best_epoch}, {"stale", p.stale},
          {"best", p.best},   {"meter", meter}, {"hardest", p.hardest},       {"best_ranks", p.best_ranks}};
}

Position position_from_json(const json& object, int64_t epochs, const std::string& path) {
  constexpr double kMost = std::numeric_limits<double>::max();
  const Fields fields(object, path + ": metadata 'progress'");
  Position p;
  p.epoch = fields.integer("epoch", 0, epochs);
  p.step = fields.integer("step", 0, p.epoch < epochs ? std::numeric_limits<int64_t>::max() : 0);
  // The first epoch is the best one so far.
  p.best_epoch = fields.integer("best_epoch", std::min<int64_t>(p.epoch, 1), p.epoch);
  p.stale = fields.integer("stale", p.epoch - p.best_epoch, p.epoch - p.best_epoch);
  if (p.best_epoch > 0) p.best = fields.number("best", -kMost, kMost);
  const Fields meter(fields.at("meter"), path + ": metadata 'progress', 'meter'");
  p.meter.steps = meter.integer("steps", p.step, p.step);
  p.meter.loss = meter.number("loss", -kMost, kMost);
  p.meter.active_share = meter.number("active_share", 0, static_cast<double>(p.step));
  p.hardest = fields.integers("hardest");
  if (object.contains("best_ranks")) p.best_ranks = fields.integers("best_ranks");
  return p;
}

void check_position(const Position& position, int64_t steps_per_epoch, int64_t pairs, int64_t lists, int64_t candidates,
                    const std::string& path) {
  const std::string where = path + ": metadata 'progress'";
  check(position.step < steps_per_epoch, "{}: 'step' is {}, expected an integer from 0 to {}", where, position.step,
        steps_per_epoch - 1);
  const auto all_within = [](const std::vector<int64_t>& values, int64_t low, int64_t high) {
    return std::ranges::all_of(values, [&](int64_t value) { return value >= low && value <= high; });
  };
  check(
      position.hardest.empty() || (std::ssize(position.hardest) == pairs && all_within(position.hardest, 0, pairs - 1)),
      "{}: 'hardest' does not fit {} pairs", where, pairs);
  check(position.best_ranks.empty() ||
            (std::ssize(position.best_ranks) == lists && all_within(position.best_ranks, 1, candidates)),
        "{}: 'best_ranks' does not fit {} lists of {} candidates", where, lists, candidates);
}

std::vector<std::string> recipe_differences(const json& run, const json& now) {
  std::vector<std::string> lines;
  add_differences(run, now, "", lines);
  return lines;
}

}  // namespace lookalike
