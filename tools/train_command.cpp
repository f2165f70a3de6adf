// lookalike train: a recipe and pairs to a trained network, in a run folder.
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "engine/core/options.h"
#include "engine/data/classes.h"
#include "engine/io/atomic_file.h"
#include "engine/train/trainer.h"
#include "models/import.h"
#include "models/model.h"
#include "models/published_weights.h"
#include "models/recipes.h"
#include "tools/commands.h"
#include "tools/output_files.h"

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

// Published weights are fetched where they have to be; the Error of a file to start from that is not there says where to
// get it as far as the manifest knows.
void check_start(const Recipe& recipe) {
  check(recipe.freeze.empty() || !recipe.start.empty(),
        "train.freeze = '{}' without train.start, expected weights worth keeping (--start), or start = 'random' where "
        "that is meant",
        recipe.freeze);
  if (!has_start(recipe) || find_weights(recipe.start)) return;
  const std::string name = recipe.model.value("name", ""), variant = recipe.model.value("variant", "torchvision");
  if (std::filesystem::path(recipe.start).extension().empty()) {
    fetch_weights(recipe.start);
    return;
  }
  std::string urls, how;
  for (const nlohmann::json& entry : weights_manifest()) {
    if (entry.at("model") != name || entry.value("variant", variant) != variant) continue;
    if (entry.contains("package"))
      how = fmt::format("; --start {} takes published ones (lookalike weights fetch {})", name, name);
    if (entry.contains("url")) urls += (urls.empty() ? "" : " or ") + entry["url"].get<std::string>();
  }
  if (!urls.empty())
    how = fmt::format("; make it with: lookalike weights import FILE --model {} --out {}, FILE from {}", name,
                      recipe.start, urls);
  fail("{}: no such file, expected weights to start from{}", recipe.start, how);
}

// As a shell reads it.
std::string quoted(const std::string& word) {
  if (!word.empty() && std::ranges::all_of(word, [](unsigned char c) {
        return std::isalnum(c) || std::string_view("_@%+=:,./-").find(static_cast<char>(c)) != std::string_view::npos;
      }))
    return word;
  const bool plain = printable(word) == word;
  std::string result = plain ? "'" : "$'";
  for (const char c : word) {
    if (c == '\'' || (!plain && c == '\\'))
      result += plain ? "'\\''" : fmt::format("\\{}", c);
    else if (!plain && (c < ' ' || c == '\x7f'))  // bytes of UTF-8 are below 0 here
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      result += c;
  }
  return result + "'";
}

// The command that goes on with a run: the one that was given, without `option`.
std::string command_to_resume(const CLI::App& command, const std::string& without = "") {
  std::string line = quoted(program_invocation_name) + ' ' + command.get_name();
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_positional() ? "" : option->get_name();
    if (option->count() == 0 || name == "--resume" || (!name.empty() && name == without)) continue;
    if (option->get_items_expected_max() == 0) {  // a flag
      line += ' ' + name;
      continue;
    }
    for (const std::string& value : option->results()) line += (name.empty() ? " " : ' ' + name + ' ') + quoted(value);
  }
  return line + " --resume";
}

// What became of the run, in words; what only a signal or another command says goes to stderr.
void report(const TrainArguments& arguments, const Recipe& recipe, const TrainResult& result, const CLI::App& command) {
  const std::string& out = arguments.job.out;
  if (result.end == TrainEnd::signal) {
    const std::string where =
        result.step > 0 ? fmt::format("in epoch {}, step {} of {}", result.epochs + 1, result.step, result.steps)
                        : fmt::format("after epoch {}", result.epochs);
    say_whole(fmt::format("stopped {}; go on with: {}", where, command_to_resume(command)));
    return;
  }
  if (result.end == TrainEnd::patience || (result.end == TrainEnd::was_before && result.epochs < recipe.epochs)) {
    say_whole(
        fmt::format("{} by patience: no better epoch in {} (train.patience); go on with: {} --set "
                    "train.patience=0",
                    result.end == TrainEnd::patience ? "ended" : "finished already, ended",
                    recipe.patience, command_to_resume(command)));
  } else if (result.end == TrainEnd::was_before) {
    const std::string schedule = recipe.resolved["optimizer"]["schedule"];
    say_whole(fmt::format(
        "finished already, all {} epochs; {}", result.epochs,
        schedule == "cosine"
            ? fmt::format("its cosine schedule ends here, so for more begin a new run from its "
                          "weights, with --start {} and another --out, without --resume",
                          quoted((std::filesystem::path(out) / "last.safetensors").string()))
            : fmt::format("for more: {} --epochs {}", command_to_resume(command, "--epochs"),
                          2 * result.epochs)));
  }
  if (recipe.monitor == "last") {
    print_line("{}: {} epochs", out, result.epochs);
  } else {
    print_line("{}: {} epochs, best validation {} {:.4f} in epoch {}", out, result.epochs,
               recipe.monitor, result.best, result.best_epoch);
  }
  if (!result.over_pixels) return;
  const char* images = layout_of(arguments.job.data) == Layout::pairs ? "pairs" : "images";
  print_text(
      in_lines(sentence(out, "raw pixels",
                        fmt::format("on the validation {}{}, top-1", images,
                                    recipe.monitor == "last" ? "" : ", which chose the epoch"),
                        *result.over_pixels)));
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
    say("fetching the weights of {}, {}", network, size_of_weights(network));
    fetch_weights(network);
  });
  say("recipe {}: {}", chosen.name, chosen.why);
  if (pictures && chosen.name != kPretrainedRecipe)
    say("for a better one: lookalike weights fetch {}, then train {}", network, kPretrainedRecipe);
  return chosen.name;
}

// Where the frozen layers can be computed once, nothing else makes sense: in the data folder, which
// may be shared, or in the run's.
std::string place_of_features(const Recipe& recipe, const TrainJob& job) {
  if (recipe.freeze.empty() || !recipe.augmentation.is_identity()) return "";
  return (access(job.data.c_str(), W_OK) == 0 ? job.data : job.out) + "/features";
}

// Error where a new run would write over what it is made from, or over what no run has made.
void check_run_folder(const TrainArguments& arguments, const Recipe& recipe) {
  const std::filesystem::path out = arguments.job.out;
  std::error_code none;
  check(!std::filesystem::equivalent(out, arguments.job.data, none),
        "--out: '{}' is the folder of --data, expected another", out.string());
  std::vector<NamedOutput> outputs{{"--out", out / "recipe.toml", FileKind::recipe},
                                   {"--out", out / "model.safetensors", FileKind::safetensors},
                                   {"--out", out / "last.safetensors", FileKind::safetensors},
                                   {"--out", out / "metrics.jsonl", FileKind::metrics}};
  for (const char* part : {"train", "val", "test"})
    outputs.push_back({"--out", out / "splits" / fmt::format("{}.csv", part), FileKind::part});
  const auto start = has_start(recipe) ? find_weights(recipe.start) : std::nullopt;
  check_replaced(outputs, {{"RECIPE", arguments.recipe}, {"--start", start.value_or("")}});
}

void run_train(TrainArguments& arguments, const CLI::App& command) {
  check_can_write_folder(arguments.job.out);
  arguments.job.compute = arguments.compute.parse();
  if (arguments.epochs) arguments.overrides.push_back(fmt::format("train.epochs={}", *arguments.epochs));
  if (arguments.seed) arguments.overrides.push_back(fmt::format("train.seed={}", *arguments.seed));
  if (arguments.start) arguments.overrides.push_back("train.start=" + json_string(*arguments.start, "--start"));
  if (arguments.freeze) arguments.overrides.push_back("train.freeze=" + json_string(*arguments.freeze, "--freeze"));
  if (arguments.cache_features) arguments.job.cache_features = arguments.job.data + "/features";
  const bool named = !arguments.recipe.empty();
  if (!named) arguments.recipe = choose_recipe(arguments);
  Recipe recipe = find_recipe(arguments.recipe, arguments.overrides);
  if (!arguments.job.resume) check_run_folder(arguments, recipe);
  if (!named && !arguments.cache_features) arguments.job.cache_features = place_of_features(recipe, arguments.job);
  if (!arguments.job.resume) check_start(recipe);
  Model model = build_model(recipe.model, recipe.preprocess, recipe.seed, arguments.recipe + ": model");
  recipe.resolved["model"] = model.config;
  if (!recipe.freeze.empty()) model.network->freeze(recipe.freeze);
  if (has_start(recipe) && !arguments.job.resume) say_line(start_from(recipe.start, model));
  arguments.job.seen = model.seen;
  const TrainResult result = train(recipe, *model.network, arguments.job);
  report(arguments, recipe, result, command);
  if (result.signal != 0) std::exit(128 + result.signal);  // as the shell has it of a program that the signal ended
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
  output_name(command->add_option("--out", arguments->job.out, "Run folder to make"))
      ->type_name("RUN")
      ->required();
  whole_number(command->add_option("--epochs", arguments->epochs, "Instead of the recipe's train.epochs"), 1,
               kMostEpochs)
      ->type_name("N");
  whole_number(command->add_option("--seed", arguments->seed, "Instead of the recipe's train.seed"),
               0, kAnySeed)
      ->type_name("N");
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
  add_skip_option(*command, arguments->job.skip_corrupt);
  command->callback([arguments, command] { run_train(*arguments, *command); });
}

}  // namespace lookalike
