// lookalike evaluate: what a model reaches, beside chance and the picture itself. Pairs: top-k of candidates. Classes:
// one-shot classification, retrieval and verification.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "engine/core/error.h"
#include "engine/data/classes.h"
#include "engine/data/image_files.h"
#include "engine/eval/class_report.h"
#include "engine/eval/embed.h"
#include "engine/eval/one_shot.h"
#include "engine/eval/protocol.h"
#include "engine/eval/ranked_images.h"
#include "engine/eval/scatter.h"
#include "engine/eval/verdict.h"
#include "engine/io/atomic_file.h"
#include "models/center.h"
#include "models/model.h"
#include "models/published_weights.h"
#include "tools/commands.h"
#include "tools/output_files.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

const std::vector<int64_t> kOneShotKs{1, 2};

struct EvaluateArguments {
  std::string model, data, center, pairs, candidates, truth, json, scores;
  bool skip_corrupt = false, include_seen = false;
  int64_t count = 20, lists = 5;
  std::vector<int64_t> top{1, 2, 4};
  uint64_t seed = 0;
  // Of class data.
  std::string part = "test", images, similarity, scatter;
  std::vector<std::string> groups;
  int64_t ways = 20, runs = 20;
  const CLI::Option* ways_option = nullptr;
  std::vector<const CLI::Option*> of_pairs, of_classes;  // options that only the one kind of data has
  ComputeArguments compute;
};

Tensor pixels_of(const ImageStore& store, std::span<const int64_t> which) {
  const Tensor images = store.batch(which);
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

constexpr const char* kRawPixels = "raw pixels";

// The last report is the model's.
Verdict versus_pixels(const std::vector<Report>& reports) {
  return compare_ranks(reports.back().ranks, std::ranges::find(reports, kRawPixels, &Report::name)->ranks);
}

template <class AnyReport>
nlohmann::ordered_json json_of(const std::vector<AnyReport>& reports) {
  nlohmann::ordered_json json{{"model", to_json(reports.back())}};
  for (size_t i = 0; i + 1 < reports.size(); i++) json["baselines"][reports[i].name] = to_json(reports[i]);
  return json;
}

// Names of files need not be UTF-8; what is not is replaced.
std::string text_of(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

// The mean picture of the training pairs; undefined, and said, where it can't be had: it is a side computation, which stops nothing.
Tensor training_mean(const fs::path& data, const Preprocess& preprocess, OnCorrupt on_corrupt) {
  const fs::path train = data / "train.csv";
  if (!fs::exists(train)) return {};
  try {
    const PairData pairs = load_pairs(pairs_folder(data, "train"), train, preprocess, on_corrupt);
    report_skipped(pairs.skipped);
    return mean_pixels(pairs.images);
  } catch (const Error& error) {
    say("without 'pixels minus training mean': {}", error.what());
    return {};
  }
}

// Error where the model has seen what is to measure it, unless that is asked for. `what` it is, "queries" or "images", of `where`; `split` is the option for
// the run's own test part.
void check_unseen(const EvaluateArguments& arguments, const std::string& where, int64_t all, int64_t in_training,
                  int64_t in_validation, const char* what, const char* split) {
  if (in_training + in_validation == 0) return;
  const fs::path own = fs::path(arguments.model).parent_path() / "splits" / "test.csv";
  std::error_code ignored;
  const bool has_own = fs::exists(own, ignored) && !fs::equivalent(own, where, ignored);
  const std::string seen = fmt::format("{} of {} {} of {} trained {} and {} chose its epoch", in_training, all, what,
                                       where, arguments.model, in_validation);
  check(arguments.include_seen, "{}; {}--include-seen measures them all the same, in rows of their own", seen,
        has_own ? fmt::format("what it has not seen: {} {}; ", split, own.string()) : "");
  say("{}: such figures say nothing of new pictures", seen);
}

void report_passed_over(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) say_line(line);
}

void evaluate_pairs(const EvaluateArguments& arguments, const Model& model, const Compute& compute) {
  const bool from_pairs = arguments.candidates.empty(), labelled = from_pairs || !arguments.truth.empty();
  check(labelled || (!arguments.scores.empty() && arguments.json.empty()),
        "--candidates without --truth has no accuracy, only --scores");
  const fs::path data = arguments.data;
  const std::string folder = pairs_folder(data, from_pairs ? "train" : "test");
  const OnCorrupt on_corrupt = arguments.skip_corrupt ? OnCorrupt::skip : OnCorrupt::stop;
  std::string where = arguments.candidates;
  RankedImages ranked;
  if (from_pairs) {
    where = arguments.pairs.empty() ? data / (fs::exists(data / "test.csv") ? "test.csv" : "pairs.csv")
                                    : fs::path(arguments.pairs);
    ranked = open_pairs_to_rank(folder, where, model.preprocess, arguments.count, arguments.lists, arguments.seed,
                                on_corrupt);
  } else {
    ranked = open_candidates_to_rank(folder, where, arguments.truth, model.preprocess, on_corrupt);
  }
  QueryStates states;
  if (labelled) {
    states = states_of_queries(ranked, model.seen);
    check_unseen(arguments, where, std::ranges::count(states.measured, true), states.count(QuerySeen::in_training),
                 states.count(QuerySeen::in_validation), "queries", "--pairs");
  }
  report_passed_over(ranked.passed_over);
  report_skipped(ranked.skipped);
  const std::string shorter = from_pairs ? shorter_lists(std::ssize(ranked.protocol.left), arguments.count) : "";
  if (!shorter.empty()) say("{}: {}", where, shorter);
  const Tensor left_embeddings = embed(*model.network, ranked.images, ranked.left, compute, PairSide::left),
               right_embeddings = embed(*model.network, ranked.images, ranked.right, compute, PairSide::right);
  check_finite(left_embeddings, ranked.protocol.left);
  check_finite(right_embeddings, ranked.protocol.right);
  Tensor scores = score_lists(*model.network, left_embeddings, right_embeddings, ranked.protocol.lists, compute);
  mark_unread(ranked, scores);
  if (!labelled) {
    write_scores(arguments.scores, ranked.protocol, scores);
    print_line("{}: scores of {} lists of {} candidates", arguments.scores,
               ranked.protocol.lists.lists(), ranked.protocol.lists.count);
    return;
  }

  // What is measured of these scores, and by what they were named.
  const auto report = [&](const std::string& name, const Tensor& of, const std::vector<bool>& queries) {
    const ScoredProtocol part = select_queries(ranked.protocol, of, queries);
    return evaluate_scores(name, part.protocol, part.scores, arguments.top);
  };
  const auto queries_that_are = [&](QuerySeen state) {
    std::vector<bool> queries = states.measured;
    for (size_t i = 0; i < queries.size(); i++) queries[i] = queries[i] && states.seen[i] == state;
    return queries;
  };
  const Tensor left = pixels_of(ranked.images, ranked.left), right = pixels_of(ranked.images, ranked.right);
  const auto baselines = baseline_scores(ranked.protocol, left, right, training_mean(data, model.preprocess, on_corrupt));
  std::vector<Report> reports{
      chance_report(select_queries(ranked.protocol, scores, states.measured).protocol, arguments.top)};
  for (const auto& [name, pixel_scores] : baselines) reports.push_back(report(name, pixel_scores, states.measured));
  reports.push_back(report(arguments.model, scores, states.measured));
  nlohmann::ordered_json json = json_of(reports);
  json["seen_in_training"] = states.count(QuerySeen::in_training);
  json["seen_in_validation"] = states.count(QuerySeen::in_validation);
  json["remembers_all_it_saw"] = model.seen.complete;
  const bool any_seen = states.count(QuerySeen::no) < std::ranges::count(states.measured, true);
  size_t of_model = reports.size() - 1;  // its first row
  if (any_seen) {
    // The model's row gives way to one for each kind of query.
    reports.pop_back();
    of_model = reports.size();
    for (const auto& [state, label] : {std::pair(QuerySeen::no, "unseen"),
                                       {QuerySeen::in_training, "seen in training"},
                                       {QuerySeen::in_validation, "seen in validation"}}) {
      if (states.count(state) == 0) continue;
      reports.push_back(report(fmt::format("{} ({})", label, states.count(state)), scores, queries_that_are(state)));
      json["by_memory"][label] = to_json(reports.back());
    }
    // No figure goes by the model's name alone that is of what it has seen.
    json["all_queries"] = json["model"];
    json.erase("model");
    if (json["by_memory"].contains("unseen")) json["model"] = json["by_memory"]["unseen"];
  }
  std::string verdict_line;
  if (const auto unseen = queries_that_are(QuerySeen::no); states.count(QuerySeen::no) > 0) {
    const auto ranks = [&](const Tensor& of) {
      const ScoredProtocol part = select_queries(ranked.protocol, of, unseen);
      return ranks_of(part.protocol, part.scores);
    };
    const Verdict verdict = compare_ranks(ranks(scores), ranks(baselines[0].second));
    json["versus_raw_pixels"] = to_json(verdict);
    verdict_line = '\n' + in_lines(sentence(arguments.model, kRawPixels,
                                            any_seen ? "on what it has not seen, top-1" : "top-1", verdict));
  }
  if (!arguments.scores.empty()) write_scores(arguments.scores, ranked.protocol, scores);
  if (!arguments.json.empty()) write_file_atomically(arguments.json, text_of(json));
  print_text(ranking_table(reports) + '\n' +
             verification_table(std::span(reports).subspan(of_model)) + verdict_line);
}

void evaluate_class_data(const EvaluateArguments& arguments, const Model& model, const Compute& compute) {
  check(arguments.similarity.empty() || !model.network->matcher,
        "--similarity with {}, which judges pairs by its own matcher", arguments.model);
  if (!arguments.similarity.empty()) model.network->similarity = parse_similarity(arguments.similarity);
  const Similarity similarity = model.network->similarity;
  const OnCorrupt on_corrupt = arguments.skip_corrupt ? OnCorrupt::skip : OnCorrupt::stop;
  ClassData data = arguments.images.empty()
                       ? load_classes(arguments.data, arguments.part, model.preprocess, on_corrupt)
                       : load_named_classes(arguments.data, arguments.images, model.preprocess, on_corrupt);
  report_passed_over(data.passed_over);
  report_skipped(data.skipped);
  if (!arguments.groups.empty()) data = only_groups(data, arguments.groups);
  int64_t in_training = 0, in_validation = 0;
  for (const int64_t image : data.images.all()) {
    const uint64_t hash = data.images.content_hash(image);
    if (model.seen.trained_on(hash))
      in_training++;
    else
      in_validation += model.seen.validated_on(hash);
  }
  check_unseen(arguments, arguments.images.empty() ? arguments.data : arguments.images, data.images.size(), in_training,
               in_validation, "images", "--images");
  const std::string name =
      in_training + in_validation == 0
          ? arguments.model
          : fmt::format("{}, {} of {} images seen", arguments.model, in_training + in_validation, data.images.size());
  const Tensor embeddings = embed(*model.network, data.images, data.images.all(), compute);
  check_finite(embeddings, data.names);
  const Tensor pixels = pixels_of(data.images, data.images.all());
  nlohmann::ordered_json json;
  std::string text, sentences;
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
        report(name, score_lists(*model.network, rows_of(embeddings, one_shot.left),
                                 rows_of(embeddings, one_shot.right), lists, compute))};
    const Verdict verdict = versus_pixels(reports);
    json["one_shot"] = json_of(reports);
    json["one_shot"]["versus_raw_pixels"] = to_json(verdict);
    text += "one-shot classification: " + ranking_table(reports) + '\n';
    sentences = in_lines(sentence(name, kRawPixels, "one-shot top-1", verdict));
  }
  const std::vector<ClassReport> reports{
      evaluate_classes("raw pixels", data, pixels, similarity, {1, 5}, arguments.seed),
      evaluate_classes(name, data, embeddings, similarity, {1, 5}, arguments.seed)};
  const Verdict verdict =
      compare_queries(reports.back().retrieval.first_is_right, reports.front().retrieval.first_is_right);
  json["classes"] = json_of(reports);
  json["classes"]["versus_raw_pixels"] = to_json(verdict);
  sentences += in_lines(sentence(name, kRawPixels, "precision@1", verdict));
  json["seen_in_training"] = in_training;
  json["seen_in_validation"] = in_validation;
  json["remembers_all_it_saw"] = model.seen.complete;
  if (!arguments.json.empty()) write_file_atomically(arguments.json, text_of(json));
  if (!arguments.scatter.empty())
    write_file_atomically(arguments.scatter,
                          scatter_svg(arguments.model, embeddings, data.labels, data.classes, arguments.seed));
  print_text(text + class_table(reports) + '\n' + sentences);
}

void run_evaluate(const EvaluateArguments& arguments) {
  const bool pairs = layout_of(arguments.data) == Layout::pairs;
  for (const auto* option : pairs ? arguments.of_classes : arguments.of_pairs)
    check(option->count() == 0, "{} is for {}, and {} holds {}", option->get_name(), pairs ? "class data" : "pairs",
          arguments.data, pairs ? "pairs" : "classes of images");
  check_outputs({{"--json", arguments.json, FileKind::json},
                 {"--scores", arguments.scores, FileKind::scores},
                 {"--scatter", arguments.scatter, FileKind::svg}},
                {{"MODEL", find_weights(arguments.model).value_or("")},
                 {"--center", arguments.center},
                 {"--pairs", arguments.pairs},
                 {"--candidates", arguments.candidates},
                 {"--truth", arguments.truth},
                 {"--images", arguments.images}});
  const Compute compute = arguments.compute.parse();
  Model model = load_model(arguments.model);
  if (!model.seen.complete)
    say("{}: does not remember all that it was trained on; whether these figures are of pictures "
        "that it has seen can't be told",
        arguments.model);
  std::vector<std::string> skipped;
  if (!arguments.center.empty())
    use_center(model, arguments.model, arguments.center, compute, arguments.skip_corrupt ? &skipped : nullptr);
  report_skipped(skipped);
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
  auto* seed = whole_number(command->add_option("--seed", arguments->seed, "Of what is drawn at random"), 0, kAnySeed)
                   ->type_name("N")
                   ->capture_default_str();
  output_name(command->add_option("--json", arguments->json, "Also write the results here"))
      ->type_name("FILE");
  add_skip_option(*command, arguments->skip_corrupt);
  command->add_flag("--include-seen", arguments->include_seen,
                    "Also measure on what trained the model or chose its epoch, in rows that say so");
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
  output_name(of_pairs("--scores", arguments->scores, "FILE",
                       "Write a score for each cell of --candidates, as CSV"))
      ->needs(candidates);
  whole_number(of_pairs("--count", arguments->count, "N", "Random candidates a query"), 2,
               kMostCandidates)
      ->excludes(candidates);
  whole_number(of_pairs("--lists", arguments->lists, "N", "Random lists a query"), 1, kMostLists)
      ->excludes(candidates);
  whole_number(of_pairs("--top", arguments->top, "K,...", "The k of top-k, with commas"), 1,
               kMostCandidates)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->default_str("1,2,4");

  const auto of_classes = [&](const char* name, auto& value, const char* type, const char* help) {
    auto* option = command->add_option(name, value, help)->group("Classes")->type_name(type)->capture_default_str();
    arguments->of_classes.push_back(option);
    return option;
  };
  auto* part = one_of(of_classes("--part", arguments->part, "", "Which part of the data"), {"train", "val", "test"});
  of_classes("--images", arguments->images, "FILE",
             "Instead of a part, the images that a CSV file names, header image (RUN/splits/test.csv)")
      ->excludes(part)
      ->default_str("");
  of_classes("--groups", arguments->groups, "NAME,...", "These groups of classes alone (Omniglot: alphabets)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->default_str("");
  arguments->ways_option =
      whole_number(of_classes("--ways", arguments->ways, "N",
                              "Classes of a one-shot list, or all of a group where it has fewer"),
                   2, kMostCandidates);
  whole_number(of_classes("--runs", arguments->runs, "N", "One-shot runs for each group"), 1,
               kMostLists);
  one_of(of_classes("--similarity", arguments->similarity, "", "Instead of the model's own"), {"cosine", "distance"});
  output_name(of_classes("--scatter", arguments->scatter, "FILE.svg",
                         "Write a picture of the embeddings here"));
  command->callback([arguments] { run_evaluate(*arguments); });
}

}  // namespace lookalike
