// lookalike evaluate: what a model reaches, beside chance and the picture itself. Pairs: top-k of candidates. Classes:
// one-shot classification, retrieval and verification.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "engine/data/classes.h"
#include "engine/eval/class_report.h"
#include "engine/eval/embed.h"
#include "engine/eval/one_shot.h"
#include "engine/eval/protocol.h"
#include "engine/eval/scatter.h"
#include "engine/io/atomic_file.h"
#include "models/center.h"
#include "models/model.h"
#include "tools/commands.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

const std::vector<int64_t> kOneShotKs{1, 2};

struct EvaluateArguments {
  std::string model, data, center, pairs, candidates, truth, json, scores;
  int64_t count = 20, lists = 5;
  std::vector<int64_t> top{1, 2, 4};
  uint64_t seed = 0;
  // Of class data.
  std::string part = "test", similarity, scatter;
  std::vector<std::string> groups;
  int64_t ways = 20, runs = 20;
  const CLI::Option* ways_option = nullptr;
  std::vector<const CLI::Option*> of_pairs, of_classes;  // options that only the one kind of data has
  ComputeArguments compute;
};

// The images of one side of a protocol, in its order.
ImageStore load_side(const fs::path& folder, const std::vector<std::string>& names, const std::string& where,
                     const Preprocess& preprocess) {
  const ImageFolder images(folder);
  std::vector<std::string> files;
  for (const std::string& name : names) files.push_back(images.find(name, where));
  return ImageStore(files, preprocess);
}

Tensor pixels_of(const ImageStore& store) {
  const Tensor images = store.batch(store.all());
  return images.reshape({images.shape()[0], images.shape().row_size()});
}

// The mean of those, with a batch of images in memory at a time.
Tensor mean_pixels(const ImageStore& store) {
  constexpr size_t kBatch = 64;
  const std::vector<int64_t> all = store.all();
  MeanRow mean;
  for (size_t begin = 0; begin < all.size(); begin += kBatch) {
    const Tensor images = store.batch(std::span(all).subspan(begin, std::min(kBatch, all.size() - begin)));
    mean.add(images.reshape({images.shape()[0], images.shape().row_size()}));
  }
  return mean.mean();
}

// The last report is the model's.
template <class AnyReport>
nlohmann::ordered_json json_of(const std::vector<AnyReport>& reports) {
  nlohmann::ordered_json json{{"model", to_json(reports.back())}};
  for (size_t i = 0; i + 1 < reports.size(); i++) json["baselines"][reports[i].name] = to_json(reports[i]);
  return json;
}

void evaluate_pairs(const EvaluateArguments& arguments, const Model& model, const Compute& compute) {
  const bool labelled = arguments.candidates.empty() || !arguments.truth.empty();
  check(labelled || (!arguments.scores.empty() && arguments.json.empty()),
        "--candidates without --truth has no accuracy, only --scores");
  const fs::path data = arguments.data;
  Protocol protocol;
  std::string where = arguments.candidates;
  if (arguments.candidates.empty()) {
    where = data / (fs::exists(data / "test.csv") ? "test.csv" : "pairs.csv");
    if (!arguments.pairs.empty()) where = arguments.pairs;
    protocol = make_protocol(read_pairs(where), arguments.count, arguments.lists, arguments.seed);
  } else {
    protocol = read_protocol(arguments.candidates, arguments.truth);
  }
  const fs::path images = pairs_folder(data, arguments.candidates.empty() ? "train" : "test");
  const ImageStore left = load_side(images / "left", protocol.left, where, model.preprocess);
  const ImageStore right = load_side(images / "right", protocol.right, where, model.preprocess);
  const Tensor scores = score_lists(*model.network, embed(*model.network, left, left.all(), compute),
                                    embed(*model.network, right, right.all(), compute), protocol.lists, compute);
  if (!arguments.scores.empty()) write_scores(arguments.scores, protocol, scores);
  if (!labelled) {
    fmt::print("{}: scores of {} lists of {} candidates\n", arguments.scores, protocol.lists.lists(),
               protocol.lists.count);
    return;
  }

  Tensor mean;
  if (fs::exists(data / "train.csv"))
    mean = mean_pixels(load_pairs(pairs_folder(data, "train"), data / "train.csv", model.preprocess).images);
  std::vector<Report> reports = baseline_reports(protocol, pixels_of(left), pixels_of(right), mean, arguments.top);
  reports.push_back(evaluate_scores(arguments.model, protocol, scores, arguments.top));
  if (!arguments.json.empty()) write_file_atomically(arguments.json, json_of(reports).dump(2) + "\n");
  fmt::print("{}\n{}", ranking_table(reports), verification_table(std::span(&reports.back(), 1)));
}

void evaluate_class_data(const EvaluateArguments& arguments, const Model& model, const Compute& compute) {
  check(arguments.similarity.empty() || !model.network->matcher,
        "--similarity with {}, which judges pairs by its own matcher", arguments.model);
  if (!arguments.similarity.empty()) model.network->similarity = parse_similarity(arguments.similarity);
  const Similarity similarity = model.network->similarity;
  ClassData data = load_classes(arguments.data, arguments.part, model.preprocess);
  if (!arguments.groups.empty()) data = only_groups(data, arguments.groups);
  const Tensor embeddings = embed(*model.network, data.images, data.images.all(), compute);
  const Tensor pixels = pixels_of(data.images);
  nlohmann::ordered_json json;
  std::string text;
  if (arguments.ways_option->count() > 0 || groups_of(data) != std::vector<std::string>{""}) {
    const OneShot one_shot = make_one_shot(data, arguments.ways, arguments.runs, arguments.seed);
    const auto report = [&](const std::string& name, const Tensor& scores) {
      return evaluate_scores(name, one_shot.protocol, scores, kOneShotKs, arguments.seed);
    };
    const CandidateLists& lists = one_shot.protocol.lists;
    const std::vector<Report> reports{
        chance_report(one_shot.protocol, kOneShotKs),
        report("raw pixels",
               score_candidates(rows_of(pixels, one_shot.left), rows_of(pixels, one_shot.right), lists, similarity)),
        report(arguments.model, score_lists(*model.network, rows_of(embeddings, one_shot.left),
                                            rows_of(embeddings, one_shot.right), lists, compute))};
    json["one_shot"] = json_of(reports);
    text += "one-shot classification: " + ranking_table(reports) + '\n';
  }
  const std::vector<ClassReport> reports{
      evaluate_classes("raw pixels", data, pixels, similarity, {1, 5}, arguments.seed),
      evaluate_classes(arguments.model, data, embeddings, similarity, {1, 5}, arguments.seed)};
  json["classes"] = json_of(reports);
  if (!arguments.json.empty()) write_file_atomically(arguments.json, json.dump(2) + "\n");
  if (!arguments.scatter.empty())
    write_file_atomically(arguments.scatter,
                          scatter_svg(arguments.model, embeddings, data.labels, data.classes, arguments.seed));
  fmt::print("{}{}", text, class_table(reports));
}

void run_evaluate(const EvaluateArguments& arguments) {
  const bool pairs = layout_of(arguments.data) == Layout::pairs;
  for (const auto* option : pairs ? arguments.of_classes : arguments.of_pairs)
    check(option->count() == 0, "{} is for {}, and {} holds {}", option->get_name(), pairs ? "class data" : "pairs",
          arguments.data, pairs ? "pairs" : "classes of images");
  const Compute compute = arguments.compute.parse();
  Model model = load_model(arguments.model);
  if (!arguments.center.empty()) use_center(model, arguments.model, arguments.center, compute);
  model.network->fold();
  prepare_network(*model.network, compute);
  (pairs ? evaluate_pairs : evaluate_class_data)(arguments, model, compute);
}

}  // namespace

void add_evaluate_command(CLI::App& app) {
  auto arguments = std::make_shared<EvaluateArguments>();
  CLI::App* command = app.add_subcommand("evaluate", "Print what a model reaches on pairs or on classes of images");
  command->footer(
      "lookalike evaluate runs/mine/model.safetensors --data mine\n"
      "lookalike evaluate runs/digits/model.safetensors --data mnist --part test");
  command->add_option("MODEL", arguments->model, "Checkpoint (RUN/model.safetensors)")->required();
  command
      ->add_option("--data", arguments->data,
                   "Folder with left/ and right/, with a folder for each class, or with IDX or CIFAR files")
      ->type_name("DIR")
      ->required();
  auto* seed = whole_number(command->add_option("--seed", arguments->seed, "Of what is drawn at random"), 0)
                   ->type_name("N")
                   ->capture_default_str();
  command->add_option("--json", arguments->json, "Also write the results here")->type_name("FILE");
  add_center_option(*command, arguments->center);
  arguments->compute.add_to(*command);

  const auto of_pairs = [&](const char* name, auto& value, const char* type, const char* help) {
    auto* option = command->add_option(name, value, help)->group("Pairs")->type_name(type)->capture_default_str();
    arguments->of_pairs.push_back(option);
    return option;
  };
  auto* pairs = of_pairs("--pairs", arguments->pairs, "FILE",
                         "Pairs to rank, against random candidates (default: test.csv of --data, else pairs.csv)");
  auto* candidates = of_pairs("--candidates", arguments->candidates, "FILE", "Candidate lists to rank, left,c0,...");
  candidates->excludes(pairs)->excludes(seed);
  of_pairs("--truth", arguments->truth, "FILE", "True partners for --candidates, left,right")->needs(candidates);
  of_pairs("--scores", arguments->scores, "FILE", "Write a score for each cell of --candidates, as CSV")
      ->needs(candidates);
  whole_number(of_pairs("--count", arguments->count, "N", "Random candidates a query"), 2)->excludes(candidates);
  whole_number(of_pairs("--lists", arguments->lists, "N", "Random lists a query"), 1, 100000)->excludes(candidates);
  whole_number(of_pairs("--top", arguments->top, "K,...", "The k of top-k, with commas"), 1)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->default_str("1,2,4");

  const auto of_classes = [&](const char* name, auto& value, const char* type, const char* help) {
    auto* option = command->add_option(name, value, help)->group("Classes")->type_name(type)->capture_default_str();
    arguments->of_classes.push_back(option);
    return option;
  };
  one_of(of_classes("--part", arguments->part, "", "Which part of the data"), {"train", "test"});
  of_classes("--groups", arguments->groups, "NAME,...", "These groups of classes alone (Omniglot: alphabets)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->default_str("");
  arguments->ways_option = whole_number(
      of_classes("--ways", arguments->ways, "N", "Classes of a one-shot list, or all of a group where it has fewer"),
      2);
  whole_number(of_classes("--runs", arguments->runs, "N", "One-shot runs for each group"), 1, 100000);
  one_of(of_classes("--similarity", arguments->similarity, "", "Instead of the model's own"), {"cosine", "distance"});
  of_classes("--scatter", arguments->scatter, "FILE.svg", "Write a picture of the embeddings here");
  command->callback([arguments] { run_evaluate(*arguments); });
}

}  // namespace lookalike
