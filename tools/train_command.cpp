// lookalike train: a recipe and pairs to a trained network, in a run folder.
#include <filesystem>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "engine/train/trainer.h"
#include "models/import.h"
#include "models/model.h"
#include "models/published_weights.h"
#include "models/recipes.h"
#include "tools/commands.h"

namespace lookalike {
namespace {

struct TrainArguments {
  std::string recipe;
  ComputeArguments compute;
  TrainJob job;
  std::vector<std::string> overrides;
  std::optional<int64_t> epochs, seed;
  std::optional<std::string> start, freeze;
  bool cache_features = false;
};

bool has_start(const Recipe& recipe) {
  return !recipe.start.empty() && recipe.start != "random";
}

// The Error of a recipe whose weights to start from are not there, with where to get them as far as
// the manifest knows.
void check_start(const Recipe& recipe) {
  check(recipe.freeze.empty() || !recipe.start.empty(),
        "train.freeze = '{}' without train.start, expected weights worth keeping (--start), or start = 'random' where "
        "that is meant",
        recipe.freeze);
  if (!has_start(recipe) || std::filesystem::exists(recipe.start)) return;
  std::string urls, how;
  const std::string name = recipe.model.value("name", ""), variant = recipe.model.value("variant", "torchvision");
  for (const nlohmann::json& entry : weights_manifest()) {
    if (entry.at("model") != name || entry.value("variant", variant) != variant) continue;
    if (entry.contains("package")) how = "; get them with: tools/get_weights.sh " + name;
    if (entry.contains("url")) urls += (urls.empty() ? "" : " or ") + entry["url"].get<std::string>();
  }
  if (!urls.empty())
    how = fmt::format("; make it with: lookalike weights import FILE --model {} --out {}, FILE from {}", name,
                      recipe.start, urls);
  fail("{}: no such file, expected weights to start from{}", recipe.start, how);
}

// For people: "17 MB".
std::string size_of_weights(const std::string& network) {
  for (const nlohmann::json& entry : weights_manifest())
    if (entry.at("model") == network && entry.contains("package"))
      return fmt::format("{:.0f} MB", entry.at("bytes").get<double>() / 1e6);
  return "of unknown size";
}

// The recipe of the run to go on with, else the one that suits the data, said on stderr.
std::string choose_recipe(const TrainArguments& arguments) {
  const std::string own = arguments.job.out + "/recipe.toml";
  if (arguments.job.resume && std::filesystem::exists(own)) return own;
  const Layout layout = layout_of(arguments.job.data);
  std::string network;
  const bool pictures = layout == Layout::pairs || layout == Layout::folders;
  if (pictures) network = parse_recipe(recipe_text(kPretrainedRecipe), kPretrainedRecipe, {}).model.at("name");
  const DefaultRecipe chosen = default_recipe(layout, arguments.start || find_weights(network), [&] {
    fmt::print(stderr, "fetching the weights of {}, {}\n", network, size_of_weights(network));
    fetch_weights(network);
  });
  fmt::print(stderr, "recipe {}: {}\n", chosen.name, chosen.why);
  if (pictures && chosen.name != kPretrainedRecipe)
    fmt::print(stderr, "for a better one: lookalike weights fetch {}, then train {}\n", network, kPretrainedRecipe);
  return chosen.name;
}

// Where the frozen layers can be computed once, nothing else makes sense: in the data folder, which
// may be shared, or in the run's.
std::string place_of_features(const Recipe& recipe, const TrainJob& job) {
  if (recipe.freeze.empty() || !recipe.augmentation.is_identity()) return "";
  return (access(job.data.c_str(), W_OK) == 0 ? job.data : job.out) + "/features";
}

void run_train(TrainArguments& arguments) {
  arguments.job.compute = arguments.compute.parse();
  if (arguments.epochs) arguments.overrides.push_back(fmt::format("train.epochs={}", *arguments.epochs));
  if (arguments.seed) arguments.overrides.push_back(fmt::format("train.seed={}", *arguments.seed));
  if (arguments.start) arguments.overrides.push_back("train.start=" + nlohmann::json(*arguments.start).dump());
  if (arguments.freeze) arguments.overrides.push_back("train.freeze=" + nlohmann::json(*arguments.freeze).dump());
  if (arguments.cache_features) arguments.job.cache_features = arguments.job.data + "/features";
  const bool named = !arguments.recipe.empty();
  if (!named) arguments.recipe = choose_recipe(arguments);
  Recipe recipe = find_recipe(arguments.recipe, arguments.overrides);
  if (!named && !arguments.cache_features) arguments.job.cache_features = place_of_features(recipe, arguments.job);
  if (!arguments.job.resume) check_start(recipe);
  Model model = build_model(recipe.model, recipe.preprocess, recipe.seed, arguments.recipe + ": model");
  recipe.resolved["model"] = model.config;
  if (!recipe.freeze.empty()) model.network->freeze(recipe.freeze);
  if (has_start(recipe) && !arguments.job.resume) fmt::print(stderr, "{}\n", start_from(recipe.start, model));
  const TrainResult result = train(recipe, *model.network, arguments.job);
  if (recipe.monitor == "last") {
    fmt::print("{}: {} epochs\n", arguments.job.out, result.epochs);
  } else {
    fmt::print("{}: {} epochs, best validation {} {:.4f} in epoch {}\n", arguments.job.out, result.epochs,
               recipe.monitor, result.best, result.best_epoch);
  }
}

}  // namespace

void add_train_command(CLI::App& app) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* command = app.add_subcommand("train", "Train a network as a recipe says");
  command->footer(
      "lookalike train --data mine --out runs/mine\n"
      "lookalike train emoji-best --data mine --out runs/best --epochs 40\n"
      "lookalike train my.toml --data mine --out runs/my --set loss.margin=0.3");
  command->add_option("RECIPE", arguments->recipe,
                      "A recipe's name (`lookalike recipes` lists them) or TOML file (default: what suits the data)");
  command
      ->add_option("--data", arguments->job.data,
                   "Folder with left/, right/ and pairs.csv, or of classes (docs/file-formats.md)")
      ->type_name("DIR")
      ->required();
  command->add_option("--out", arguments->job.out, "Run folder to make")->type_name("RUN")->required();
  whole_number(command->add_option("--epochs", arguments->epochs, "Instead of the recipe's train.epochs"), 1)
      ->type_name("N");
  whole_number(command->add_option("--seed", arguments->seed, "Instead of the recipe's train.seed"), 0)->type_name("N");
  command->add_option("--set", arguments->overrides, "Override a key of the recipe; may be repeated")
      ->type_name("SECTION.KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--start", arguments->start, "Weights to start from; instead of the recipe's train.start")
      ->type_name("MODEL");
  command
      ->add_option("--freeze", arguments->freeze,
                   "Last layer that stays as it is; instead of the recipe's train.freeze")
      ->type_name("LAYER");
  command->add_flag(
      "--cache-features", arguments->cache_features,
      "Compute what the frozen layers make of each image once, and keep it in features/ of the data folder");
  arguments->compute.add_to(*command);
  command->add_flag("--resume", arguments->job.resume, "Go on where the run in --out stopped");
  command->add_flag("--skip-corrupt", arguments->job.skip_corrupt,
                    "Leave out pairs whose images cannot be read, and say which");
  command->callback([arguments] { run_train(*arguments); });
}

}  // namespace lookalike
