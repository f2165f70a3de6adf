// lookalike data: makes, splits and checks data sets.
#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fmt/ranges.h>

#include "engine/core/error.h"
#include "engine/core/options.h"
#include "engine/data/check.h"
#include "engine/data/class_layout.h"
#include "engine/data/class_split.h"
#include "engine/data/csv.h"
#include "engine/data/emoji.h"
#include "engine/data/pairs.h"
#include "engine/eval/protocol.h"
#include "engine/io/atomic_file.h"
#include "engine/io/claim.h"
#include "tools/commands.h"
#include "tools/output_files.h"
#include "tools/results.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 3> kPartFiles{"train.csv", "val.csv", "test.csv"};

void add_emoji(CLI::App& data) {
  auto* command = data.add_subcommand("emoji", "Make a pairs data set from the emoji of two installed packages");
  auto options = std::make_shared<EmojiOptions>();
  command->footer("lookalike data emoji --out datasets/emoji --size 64");
  output_name(command->add_option("--out", options->out, "New folder to make"))
      ->type_name("DIR")
      ->required();
  whole_number(command->add_option("--size", options->size, "Pixels, both ways, 1 to 1024"), 1, 1024)
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--font", options->font, "Colour font (from fonts-noto-color-emoji by default)")
      ->type_name("FILE");
  command->add_option("--gemojione", options->gemojione, "Folder with png/ and svg/ (from ruby-gemojione by default)")
      ->type_name("DIR");
  command->callback(
      [options] { print_line("{}: {} pairs", options->out, make_emoji_pairs(*options)); });
}

using Rows = std::vector<std::vector<std::string>>;

// The three parts of a split in `folder`, all or none; those without a share are not there afterwards.
void write_parts(const fs::path& folder, const std::array<Rows, 3>& parts) {
  const Claim claim(folder);
  std::map<fs::path, std::optional<std::string>> files;
  for (int part = 0; part < 3; part++) {
    // A header alone is a part without a share.
    auto& text = files[folder / kPartFiles[part]];
    if (parts[part].size() > 1) text = csv_text(parts[part]);
  }
  write_files_together(files);
}

// Error where one of the parts would replace, or its absence remove, what no split has made.
void check_parts(const fs::path& folder, const std::string& input) {
  std::vector<NamedOutput> outputs;
  for (const char* name : kPartFiles) outputs.push_back({"split", folder / name, FileKind::part});
  check_replaced(outputs, {{"INPUT", input}});
}

void split_pairs_file(const std::string& csv, const std::string& out, const std::array<double, 3>& ratios,
                      uint64_t seed) {
  const fs::path beside = fs::path(csv).parent_path(), folder = out.empty() ? beside : fs::path(out);
  const std::string name = fs::path(csv).filename();
  const bool is_part = std::ranges::count(kPartFiles, name) > 0;
  check(!is_part || !fs::exists(beside / "pairs.csv"), "{}: is a part of {}, expected all pairs to split", csv,
        (beside / "pairs.csv").string());
  std::error_code ignored;
  check(!is_part || !fs::equivalent(folder.empty() ? "." : folder, beside.empty() ? "." : beside, ignored),
        "{}: a split would replace it by a part of itself, expected another folder in --out, or another name for all "
        "pairs, pairs.csv",
        csv);
  check_parts(folder, csv);
  const Split split = split_pairs(read_pairs(csv), ratios, seed);
  if (!folder.empty()) make_folders(folder);
  const std::vector<Pair>* parts[] = {&split.train, &split.validation, &split.test};
  std::array<Rows, 3> rows;
  for (int part = 0; part < 3; part++) {
    rows[part].push_back({"left", "right"});
    for (const Pair& pair : *parts[part]) rows[part].push_back({pair.left, pair.right});
  }
  write_parts(folder, rows);
  for (int part = 0; part < 3; part++)
    if (!parts[part]->empty())
      print_line("{}: {} pairs, hash {}", (folder / kPartFiles[part]).string(), parts[part]->size(),
                 content_hash(*parts[part]));
}

void split_class_folder(const std::string& folder, const std::array<double, 3>& ratios, uint64_t seed,
                        const std::string& by) {
  check(layout_of(folder) == Layout::folders, "{}: its files are parts already, expected class folders", folder);
  check(parts_of(folder).folders.empty(), "{}: has its parts in folders already, expected a folder for each class",
        folder);
  check_parts(folder, "");
  const ClassListing listing = list_all_classes(folder);
  const ClassSplit split =
      split_classes(listing.labels, ratios, seed, by.empty() ? std::nullopt : std::optional(parse_split_by(by)));
  std::array<Rows, 3> rows;
  std::array<std::set<int32_t>, 3> classes;
  for (int part = 0; part < 3; part++) {
    rows[part].push_back({"image"});
    for (const int64_t image : split.images[part]) {
      rows[part].push_back({listing.names[image]});
      classes[part].insert(listing.labels[image]);
    }
  }
  write_parts(folder, rows);
  for (int part = 0; part < 3; part++)
    if (!classes[part].empty())
      print_line("{}: {} images of {} classes", (fs::path(folder) / kPartFiles[part]).string(),
                 split.images[part].size(), classes[part].size());
}

void add_split(CLI::App& data) {
  struct Arguments {
    std::string input, out, by;
    std::vector<double> ratios{70, 15, 15};
    uint64_t seed = 0;
  };
  auto* command = data.add_subcommand("split", "Cut pairs or class folders into train.csv, val.csv and test.csv");
  auto args = std::make_shared<Arguments>();
  command->footer(
      "lookalike data split mine/pairs.csv --ratios 70,15,15\n"
      "lookalike data split pictures --by classes");
  command->add_option("INPUT", args->input, "Pairs file, or a folder of pairs or of classes")->required();
  number(command->add_option("--ratios", args->ratios,
                             "Shares of train, validation and test, on any scale"),
         0, kLargeNumber)
      ->delimiter(',')
      ->expected(3)
      ->type_name("A,B,C")
      ->default_str("70,15,15");
  whole_number(command->add_option("--seed", args->seed, "Of the shuffle"), 0, kAnySeed)
      ->type_name("N")
      ->capture_default_str();
  one_of(command->add_option("--by", args->by,
                             "Of class folders: whole classes, or images of each class (default: classes where ten or "
                             "more have two images)"),
         {"classes", "images"});
  auto* out = output_name(command->add_option(
                              "--out", args->out,
                              "Folder for the three files (beside the pairs file by default)"))
                  ->type_name("DIR");
  command->callback([args, out] {
    const std::array<double, 3> ratios{args->ratios[0], args->ratios[1], args->ratios[2]};
    check(ratios[0] > 0, "--ratios {}: train has no share, expected one above 0", fmt::join(ratios, ","));
    std::string pairs = args->input;
    if (std::error_code none; fs::is_directory(args->input, none)) {
      if (layout_of(args->input) != Layout::pairs) {
        check(out->count() == 0, "--out with class folders, whose parts are files in the folder itself");
        return split_class_folder(args->input, ratios, args->seed, args->by);
      }
      pairs = (fs::path(args->input) / "pairs.csv").string();
    }
    check(fs::exists(args->input), "{}: no such file or folder, expected pairs or class folders", args->input);
    check(args->by.empty(), "--by is for class folders, and {} holds pairs", args->input);
    split_pairs_file(pairs, args->out, ratios, args->seed);
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
  whole_number(
      command->add_option("--count", args->count, "Candidates a query, the true one included"), 2,
      kMostCandidates)
      ->type_name("N")
      ->capture_default_str();
  whole_number(command->add_option("--seed", args->seed, "Of the draw"), 0, kAnySeed)
      ->type_name("N")
      ->capture_default_str();
  output_name(command->add_option("--out", args->out, "Candidates file to write"))
      ->type_name("FILE.csv")
      ->required();
  command->callback([args] {
    check_outputs({{"--out", args->out, FileKind::candidates}}, {{"PAIRS", args->csv}});
    const Candidates candidates = make_candidates(read_pairs(args->csv), args->count, args->seed);
    write_candidates(args->out, candidates);
    print_line("{}: {} queries of {} candidates, hash {}", args->out, candidates.left.size(),
               args->count, content_hash(candidates));
  });
}

void add_check(CLI::App& data) {
  struct Arguments {
    std::string folder;
    bool json = false;
  };
  auto* command = data.add_subcommand("check", "List everything that is wrong with a data set");
  auto args = std::make_shared<Arguments>();
  command->footer("lookalike data check mine");
  command
      ->add_option("FOLDER", args->folder,
                   "Folder with pairs.csv, left/ and right/, with classes, or with IDX or CIFAR files")
      ->required();
  add_json_flag(*command, args->json);
  command->callback([args] {
    const auto [problems, notes] = check_data(args->folder);
    if (args->json) {
      nlohmann::ordered_json json = result_json("data check");
      json.update({{"folder", args->folder}, {"problems", problems}, {"notes", notes}});
      print_json(json);
    } else {
      for (const std::string& problem : problems) print_one(one_line(problem));
      for (const std::string& note : notes) print_line("note: {}", one_line(note));
    }
    check(problems.empty(), "{}: {} problem{}", args->folder, problems.size(),
          problems.size() == 1 ? "" : "s");
    if (!args->json) print_line("{}: no problems", args->folder);
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
