// Where a run stands: what is read back is checked field by field; which settings of a resumed run differ.
#include "engine/train/position.h"

#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

using nlohmann::json;

Position in_epoch_4() {
  return {.epoch = 3,
          .step = 2,
          .best_epoch = 2,
          .stale = 1,
          .best = 0.5,
          .meter = {0.7, 1.5, 2},
          .hardest = {1, 0},
          .best_ranks = {1, 3}};
}

TEST_CASE("a position is read back as it was") {
  const json written = json::parse(to_json(in_epoch_4()).dump());
  const Position read = position_from_json(written, 10, "last");
  CHECK(to_json(read) == written);
  check_position(read, 5, 2, 2, 4, "last");
  const Position begun = position_from_json(json::parse(to_json(Position{}).dump()), 10, "last");
  CHECK(std::isnan(begun.best));
}

TEST_CASE("each field of a position that cannot be is an error that names it") {
  const json good = to_json(in_epoch_4());
  const auto says = [&](const char* field, const json& value) {
    json bad = good;
    bad[json::json_pointer(field)] = value;
    const std::string text =
        error_of([&] { check_position(position_from_json(bad, 10, "run/last"), 5, 2, 2, 4, "run/last"); });
    CAPTURE(field);
    CAPTURE(value.dump());
    CAPTURE(text);
    const std::string name = std::string(field).substr(std::string(field).rfind('/') + 1);
    CHECK(text.find("run/last: metadata 'progress'") == 0);
    CHECK(text.find('\'' + name) != std::string::npos);
  };
  const int64_t most = std::numeric_limits<int64_t>::max();
  for (const char* field : {"/epoch", "/step", "/best_epoch", "/stale", "/meter/steps"})
    for (const json& value : {json(-1), json(most), json(std::numeric_limits<uint64_t>::max()), json(1.5), json(1e30),
                              json("2"), json(), json::array()})
      says(field, value);
  says("/epoch", 11);
  says("/step", 10);
  says("/best_epoch", 4);
  says("/best_epoch", 0);
  says("/stale", 2);
  for (const char* field : {"/best", "/meter/loss", "/meter/active_share"})
    for (const json& value : {json("x"), json(), json(INFINITY)}) says(field, value);
  says("/meter/active_share", 2.5);
  says("/meter/active_share", -0.1);
  says("/meter", 3);
  for (const char* field : {"/hardest", "/best_ranks"})
    for (const json& value : {json(3), json({1}), json({1, 99}), json({1, -1}), json({1, "2"})}) says(field, value);
  says("/best_ranks", {0, 1});
  for (const auto& [name, value] : good.items()) {
    json bad = good;
    bad.erase(name);
    const std::string text = error_of([&] { position_from_json(bad, 10, "run/last"); });
    CHECK((text.find('\'' + name + "' is missing") != std::string::npos || name == "best_ranks"));
  }
  CHECK(error_of([&] { position_from_json(json(), 10, "run/last"); }).find("expected an object") != std::string::npos);
}

TEST_CASE("settings that differ are told with both values and the option; epochs and patience may differ") {
  const json run{{"train", {{"epochs", 3}, {"patience", 0}, {"seed", 1}}},
                 {"loss", {{"name", "triplet"}, {"margin", 0.5}}}};
  json now = run;
  now["train"]["epochs"] = 5, now["train"]["patience"] = 2;
  CHECK(recipe_differences(run, now).empty());
  now["train"]["seed"] = 7, now["loss"] = {{"name", "triplet"}, {"squared", true}};
  CHECK(recipe_differences(run, now) ==
        std::vector<std::string>{"loss.margin is 0.5 in the run and not set now (--set loss.margin=0.5)",
                                 "loss.squared is not set in the run and true now",
                                 "train.seed is 1 in the run and 7 now (--seed 1)"});
}

}  // namespace
}  // namespace lookalike
