// Recipes: those in models/recipes, and what a wrong one is told.
#include "engine/train/recipe.h"

#include <limits>
#include <sstream>

#include <doctest/doctest.h>

#include "models/model.h"
#include "models/recipes.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

TEST_CASE("every recipe of the project is valid, and its resolved form is the same recipe") {
  TemporaryFolder folder;
  int recipes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(LOOKALIKE_SOURCE_DIR "/models/recipes")) {
    CAPTURE(entry.path().string());
    Recipe recipe = read_recipe(entry.path(), {});
    recipe.resolved["model"] = build_model(recipe.model, recipe.preprocess, 0, "test").config;
    write_bytes(folder / "resolved.toml", to_toml(recipe.resolved));
    const Recipe again = read_recipe(folder / "resolved.toml", {});
    CHECK(again.model == recipe.resolved["model"]);
    recipe.resolved.erase("model");
    CHECK(again.resolved == recipe.resolved);
    recipes++;
  }
  CHECK(recipes > 0);
}

TEST_CASE("settings are written as TOML, numbers as short as reads them back") {
  const nlohmann::json table{{"beta", 0.9},
                             {"list", {1, 2.0, "a \"b\"\n\x7F", nlohmann::json::array()}},
                             {"a key", {{"rate", 1e-300}, {"inner", {{"third", 1.0 / 3}}}}},
                             {"lowest", std::numeric_limits<int64_t>::min()}};
  CHECK(to_toml(table) ==
        "beta = 0.9\nlist = [1, 2.0, \"a \\\"b\\\"\\n\\u007F\", []]\nlowest = -9223372036854775808\n\n"
        "[\"a key\"]\nrate = 1e-300\n\n[\"a key\".inner]\nthird = 0.3333333333333333\n");
}

TEST_CASE("settings given on the command line win over the file") {
  TemporaryFolder folder;
  write_bytes(folder / "r.toml", "[train]\nepochs = 3\n");
  const Recipe recipe = read_recipe(
      folder / "r.toml", {"train.epochs=7", "loss.name=nt_xent", "loss.temperature=0.5", "input.mean=[1, 2, 3]"});
  CHECK(recipe.epochs == 7);
  CHECK(recipe.batch_pairs == 32);
  CHECK(recipe.resolved["loss"]["temperature"] == 0.5);
  CHECK(recipe.preprocess.mean == std::vector<float>{1, 2, 3});
}

TEST_CASE("a wrong recipe is named with file and key in one line") {
  TemporaryFolder folder;
  const auto says = [&](const std::string& toml, const std::string& part, const std::vector<std::string>& set = {}) {
    write_bytes(folder / "r.toml", toml);
    const std::string text = error_of([&] { read_recipe(folder / "r.toml", set); });
    CAPTURE(toml);
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
    CHECK(text.find('\n') == std::string::npos);
    if (set.empty()) CHECK(text.find((folder / "r.toml").string()) == 0);
  };
  says("", "--set train.start=a\\xffb: is not UTF-8", {"train.start=a\xff" "b"});
  says("[los]\n", "unknown key 'los', did you mean 'loss'?");
  says("[train]\nepoch = 3\n", "train: unknown key 'epoch', did you mean 'epochs'?");
  says("[loss]\nname = \"nt_xent\"\nmargin = 1\n", "unknown key 'margin'");
  says("[loss]\nname = \"tripled\"\n", "did you mean 'triplet'?");
  says("[optimizer]\nname = \"adamww\"\n", "did you mean 'adamw'?");
  says("[optimizer]\nschedule = \"cosin\"\n", "did you mean 'cosine'?");
  says("[train]\nepochs = 0\n", "epochs = 0, expected an integer from 1 to 1000000");
  says("[train]\nepochs = 2.5\n", "epochs = 2.5, expected an integer");
  says("[train]\nepochs = \"two\"\n", "epochs = \"two\", expected an integer");
  says("[train]\nbatch_pairs = 1\n", "batch_pairs = 1, expected an integer from 2 to 65536");
  says("[train]\nmonitor = \"top3\"\n", "monitor = 'top3' is unknown");
  says("[loss]\nmargin = -1\n", "margin = -1");
  says("[loss]\nmargin = nan\n", "margin = nan, expected a number from 0 to 1000000");
  says("[loss]\nsquared = 1\n", "squared = 1, expected true or false");
  says("[augmentation]\nflip = 2\n", "flip = 2");
  says("[input]\nheight = 0\n", "height = 0");
  says("[input]\nchannels = 2\n", "input: channels = 2, expected 1 (grey) or 3 (colour)");
  says("[input]\nmean = [0]\n", "input: mean has 1 numbers");
  says("[input]\nstd = [1, 0, 1]\n", "input: std holds 0, expected numbers from 1e-06 to 1000000");
  says("[input]\nmean = 3\n", "mean = 3, expected a list of at most 64 numbers from -1000000 to 1000000");
  says("[split]\nratios = [1]\n", "ratios has 1 numbers");
  says("loss = 3\n", "loss: expected a table");
  says("[model]\nwhen = 2020-01-01\n", "dates and times");
  says("[train]\nepochs = 3\nepochs = \n", "line 3");
  says("[train\n", "line 1");
  says("", "--set epochs: expected section.key=value, as in --set train.epochs=5", {"epochs"});
  says("", "--set .x=3: expected section.key=value", {".x=3"});
  says("", "--set margin=0.3: margin is a key of [loss]: did you mean loss.margin?", {"margin=0.3"});
  says("", "--set optimizer.margin=3: margin is a key of [loss]: did you mean loss.margin?", {"optimizer.margin=3"});
  says("", "--set epoch=3: expected section.key=value, did you mean train.epochs?", {"epoch=3"});
  says("", "--set seed=3: seed is a key of [evaluate] and of [split] and of [train]: did you mean", {"seed=3"});
  says("[model]\nfilters = [3]\n", "did you mean model.filters?", {"filters=[4]"});
  says("", "train: unknown key 'epoch', did you mean 'epochs'?", {"train.epoch=3"});
  says("[loss]\n", "is a section", {"loss=3"});
  says("[loss]\nmargin = 1\n", "is not a section", {"loss.margin.x=3"});
  CHECK(error_of([&] { read_recipe(folder / "none.toml", {}); }).find("none.toml") != std::string::npos);
  CHECK(error_of([&] { read_recipe(folder.path(), {}); }).ends_with("it is not a regular file"));
}

TEST_CASE("recipes go by name, a file of that name wins, and an unknown name is told the nearest") {
  TemporaryFolder folder;
  CHECK(find_recipe("digits", {"train.epochs=7"}).epochs == 7);
  CHECK(find_recipe("digits", {}).preprocess.height == 28);
  write_bytes(folder / "digits", "[input]\nheight = 30\n");
  CHECK(find_recipe(folder / "digits", {}).preprocess.height == 30);
  CHECK(error_of([] { find_recipe("digits", {"los.margim=1"}); }).starts_with("digits: unknown key 'los'"));
  CHECK(error_of([] { find_recipe("digit", {}); }) ==
        "digit: no such recipe, did you mean 'digits'? (`lookalike recipes` lists them)");
  CHECK(error_of([] { find_recipe("models/recipes/digit.toml", {}); }).find("'digits'") != std::string::npos);
  CHECK(error_of([] { recipe_text("xylophone"); }) == "xylophone: no such recipe (`lookalike recipes` lists them)");
  const std::string list = list_recipes();
  for (const auto& entry : std::filesystem::directory_iterator(LOOKALIKE_SOURCE_DIR "/models/recipes")) {
    const std::string name = entry.path().stem();
    CAPTURE(name);
    CHECK(recipe_text(name) == read_bytes(entry.path()));
    CHECK(list.find("  " + name + "\n    ") != std::string::npos);
  }
  std::istringstream lines(list);
  for (std::string line; std::getline(lines, line);) CHECK(line.size() < 80);
}

TEST_CASE("without a recipe the data decides, and whether there are weights") {
  int fetched = 0;
  const auto fetch = [&] { fetched++; };
  const auto refuse = [] { fail("cannot download"); };
  CHECK(default_recipe(Layout::idx, false, refuse).name == "digits");
  CHECK(default_recipe(Layout::cifar10, false, refuse).name == "cifar");
  CHECK(default_recipe(Layout::cifar100, true, refuse).name == "cifar");
  for (const Layout layout : {Layout::pairs, Layout::folders}) {
    CHECK(default_recipe(layout, true, refuse).name == "pretrained-head");
    fetched = 0;
    CHECK(default_recipe(layout, false, fetch).name == "pretrained-head");
    CHECK(fetched == 1);
    const DefaultRecipe small = default_recipe(layout, false, refuse);
    CHECK(small.name == "small-network");
    CHECK(small.why.find("cannot download") != std::string::npos);
  }
}

}  // namespace
}  // namespace lookalike
