// lookalike data: makes, splits and checks data sets.
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/error.h"
#include "engine/data/classes.h"
#include "engine/data/emoji.h"
#include "engine/data/loader.h"
#include "engine/data/pairs.h"
#include "tools/commands.h"

namespace lookalike {
namespace {

void add_emoji(CLI::App& data) {
  auto* command = data.add_subcommand("emoji", "Make a pairs data set from the emoji of two installed packages");
  auto options = std::make_shared<EmojiOptions>();
  command->footer("lookalike data emoji --out datasets/emoji --size 64");
  command->add_option("--out", options->out, "New folder to make")->type_name("DIR")->required();
  whole_number(command->add_option("--size", options->size, "Pixels, both ways, 1 to 1024"), 1, 1024)
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--font", options->font, "Colour font (from fonts-noto-color-emoji by default)")
      ->type_name("FILE");
  command->add_option("--gemojione", options->gemojione, "Folder with png/ and svg/ (from ruby-gemojione by default)")
      ->type_name("DIR");
  command->callback([options] { fmt::print("{}: {} pairs\n", options->out, make_emoji_pairs(*options)); });
}

void add_split(CLI::App& data) {
  struct Arguments {
    std::string csv, out;
    std::vector<double> ratios{70, 15, 15};
    uint64_t seed = 0;
  };
  auto* command = data.add_subcommand("split", "Cut a pairs file into train.csv, val.csv and test.csv");
  auto args = std::make_shared<Arguments>();
  command->footer("lookalike data split mine/pairs.csv --ratios 70,15,15");
  command->add_option("PAIRS", args->csv, "Pairs file")->required();
  number(command->add_option("--ratios", args->ratios, "Shares of train, validation and test, on any scale"), 0)
      ->delimiter(',')
      ->expected(3)
      ->type_name("A,B,C")
      ->default_str("70,15,15");
  whole_number(command->add_option("--seed", args->seed, "Of the shuffle"), 0)->type_name("N")->capture_default_str();
  command->add_option("--out", args->out, "Folder for the three files (beside the pairs file by default)")
      ->type_name("DIR");
  command->callback([args] {
    const std::filesystem::path folder =
        args->out.empty() ? std::filesystem::path(args->csv).parent_path() : std::filesystem::path(args->out);
    const Split split =
        split_pairs(read_pairs(args->csv), {args->ratios[0], args->ratios[1], args->ratios[2]}, args->seed);
    if (!folder.empty()) std::filesystem::create_directories(folder);
    const std::pair<const char*, const std::vector<Pair>&> parts[] = {
        {"train.csv", split.train}, {"val.csv", split.validation}, {"test.csv", split.test}};
    for (const auto& [name, pairs] : parts) {
      if (pairs.empty()) continue;
      const std::string file = folder / name;
      write_pairs(file, pairs);
      fmt::print("{}: {} pairs, hash {}\n", file, pairs.size(), content_hash(pairs));
    }
  });
}

void add_candidates(CLI::App& data) {
  struct Arguments {
    std::string csv, out;
    int64_t count = 20;
    uint64_t seed = 0;
  };
  auto* command = data.add_subcommand("candidates", "Draw the right images that each left one is ranked against");
  auto args = std::make_shared<Arguments>();
  command->footer("lookalike data candidates mine/test.csv --count 20 --out candidates.csv");
  command->add_option("PAIRS", args->csv, "Pairs file")->required();
  whole_number(command->add_option("--count", args->count, "Candidates a query, the true one included"), 2)
      ->type_name("N")
      ->capture_default_str();
  whole_number(command->add_option("--seed", args->seed, "Of the draw"), 0)->type_name("N")->capture_default_str();
  command->add_option("--out", args->out, "Candidates file to write")->type_name("FILE.csv")->required();
  command->callback([args] {
    const Candidates candidates = make_candidates(read_pairs(args->csv), args->count, args->seed);
    write_candidates(args->out, candidates);
    fmt::print("{}: {} queries of {} candidates, hash {}\n", args->out, candidates.left.size(), args->count,
               content_hash(candidates));
  });
}

void add_check(CLI::App& data) {
  auto* command = data.add_subcommand("check", "List everything that is wrong with a data set");
  auto folder = std::make_shared<std::string>();
  command->footer("lookalike data check mine");
  command
      ->add_option("FOLDER", *folder,
                   "Folder with pairs.csv, left/ and right/, with classes, or with IDX or CIFAR files")
      ->required();
  command->callback([folder] {
    const auto problems = layout_of(*folder) == Layout::pairs ? check_pairs(*folder) : check_classes(*folder);
    for (const std::string& problem : problems) fmt::print("{}\n", problem);
    check(problems.empty(), "{}: {} problems", *folder, problems.size());
    fmt::print("{}: no problems\n", *folder);
  });
}

}  // namespace

void add_data_command(CLI::App& app) {
  auto* data = app.add_subcommand("data", "Make, split and check data sets");
  data->require_subcommand(1);
  data->footer("lookalike data split mine/pairs.csv\nlookalike data check mine");
  add_emoji(*data);
  add_split(*data);
  add_candidates(*data);
  add_check(*data);
}

}  // namespace lookalike
