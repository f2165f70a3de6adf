// lookalike evaluate: what a model reaches, beside chance and the picture itself. Pairs: top-k of candidates. Classes:
// one-shot classification, retrieval and verification.
#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>

#include "engine/core/error.h"
#include "engine/core/json_text.h"
#include "engine/core/names.h"
#include "engine/data/classes.h"
#include "engine/data/image_files.h"
#include "engine/eval/class_report.h"
#include "engine/eval/embed.h"
#include "engine/eval/one_shot.h"
#include "engine/eval/protocol.h"
#include "engine/eval/ranked_images.h"
#include "engine/eval/scatter.h"
#include "engine/eval/verdict.h"
#include "engine/eval/versus.h"
#include "engine/io/atomic_file.h"
#include "engine/io/input_file.h"
#include "models/center.h"
#include "models/model.h"
#include "models/published_weights.h"
#include "tools/commands.h"
#include "tools/output_files.h"
#include "tools/results.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

const std::vector<int64_t> kOneShotKs{1, 2};

struct EvaluateArguments {
  std::string model, versus, data, center, pairs, candidates, truth, json, scores;
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
// As numbers: where pictures are more, they are not compared all with all.
constexpr int64_t kMostPixelBytes = int64_t{1} << 29;
// Pairs of a query and an image that a matcher judges for a gallery.
constexpr int64_t kMostMatched = 1'000'000;

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

// A list of numbers alone on one line instead of a line each.
std::string with_short_lists(const std::string& json) {
  std::string text;
  for (size_t at = 0; at < json.size();) {
    const size_t end = json[at] == '[' ? json.find_first_of("[]{}\"", at + 1) : at;
    if (end == at || json[end] != ']') {
      // A bracket within a string is none.
      size_t next = at + 1;
      if (json[at] == '"') {
        while (json[next] != '"') next += json[next] == '\\' ? 2 : 1;
        next++;
      }
      text += json.substr(at, next - at);
      at = next;
      continue;
    }
    for (; at <= end; at++)
      if (json[at] != '\n' && json[at] != ' ') text += json[at];
  }
  return text;
}

// Names of files need not be UTF-8; what is not is replaced.
std::string text_of(const nlohmann::ordered_json& json) {
  nlohmann::ordered_json all = result_json("evaluate");
  all.update(json);
  return with_short_lists(
             all.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)) +
         '\n';
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

// How much of what is to measure a model it has seen.
struct SeenCount {
  int64_t all = 0, in_training = 0, in_validation = 0;
};

// Error where `model` has seen what is to measure it, unless that is asked for. `what` it is,
// "queries" or "images", of `where`; `split` is the option for the run's own test part.
void check_unseen(const EvaluateArguments& arguments, const std::string& model,
                  const std::string& where, const SeenCount& count, const char* what,
                  const char* split) {
  if (count.in_training + count.in_validation == 0) return;
  const fs::path own = fs::path(model).parent_path() / "splits" / "test.csv";
  std::error_code ignored;
  const bool has_own = fs::exists(own, ignored) && !fs::equivalent(own, where, ignored);
  const std::string seen =
      fmt::format("{} of {} {} of {} trained {} and {} chose its epoch", count.in_training,
                  count.all, what, where, model, count.in_validation);
  const bool is_other = model == arguments.versus;
  check(arguments.include_seen, "{}; {}--include-seen {}", seen,
        has_own ? fmt::format("what it has not seen: {} {}; ", split, own.string()) : "",
        is_other ? "compares on the others" : "measures them all the same, in rows of their own");
  say("{}: {}", seen,
      is_other ? "they are not compared" : "such figures say nothing of new pictures");
}

SeenCount count_seen(const QueryStates& states) {
  return {std::ranges::count(states.measured, true), states.count(QuerySeen::in_training),
          states.count(QuerySeen::in_validation)};
}

SeenCount count_seen(const ImageStore& images, const SeenImages& seen) {
  SeenCount count{.all = images.size()};
  for (const int64_t image : images.all()) {
    const uint64_t hash = images.content_hash(image);
    if (seen.trained_on(hash))
      count.in_training++;
    else
      count.in_validation += seen.validated_on(hash);
  }
  return count;
}

// "MODEL", or "MODEL, 3 of 7 images seen".
std::string name_with_seen(const std::string& model, const SeenCount& count) {
  const int64_t seen = count.in_training + count.in_validation;
  return seen == 0 ? model : fmt::format("{}, {} of {} images seen", model, seen, count.all);
}

// What --versus compares with: a model, or answers in a results file, by the place that they have
// there.
struct Other {
  std::string path;
  std::optional<Model> model;
  nlohmann::json results;
  Answers answers(const char* section, const Answers& asked, bool include_seen) const {
    const nlohmann::json& of = *section && results.contains(section) ? results[section] : results;
    check(of.is_object() && of.contains("answers"),
          "{}: holds no answers to {}, expected results that 'evaluate --json' wrote of the same "
          "lists",
          path, *section ? section : "lists of pairs");
    Answers read = read_answers(of["answers"], asked, path);
    const auto seen = std::ranges::count(read.seen, true);
    check(seen == 0 || include_seen,
          "{}: {} of {} queries were seen by {}; --include-seen compares on the others", path, seen,
          read.seen.size(), read.name);
    return read;
  }
};

Other open_other(const std::string& path) {
  Other other{.path = path};
  if (!begins_as(FileKind::json, path))
    other.model = load_model(path);
  else
    other.results = parse_json(read_file(path), path);
  return other;
}

// The sentence in lines, its first words in bold where a terminal shows that.
std::string verdict_lines(const std::string& name, const std::string& other,
                          const std::string& figure, const Verdict& verdict) {
  const std::string lines = in_lines(sentence(name, other, figure, verdict));
  const auto is_space = [](char c) { return c == ' ' || c == '\n'; };
  // Spaces have become ends of lines.
  const std::string first = printable(claim(name, other, verdict));
  auto left = std::ranges::count_if(first, std::not_fn(is_space));
  size_t end = 0;
  while (left > 0) left -= !is_space(lines[end++]);
  return kBold + lines.substr(0, end) + kPlain + lines.substr(end);
}

struct Comparison {
  std::string details, sentence;  // lines for people
  nlohmann::ordered_json json;
};
// Nothing, and said, where no query is left.
std::optional<Comparison> compare_with(const Answers& theirs, const Answers& ours,
                                       const std::string& figure) {
  const auto versus = compare_answers(ours, theirs);
  if (!versus) {
    say("no query is left that neither {} nor {} has seen: they are not compared", ours.name,
        theirs.name);
    return {};
  }
  Comparison comparison;
  comparison.json = {{"name", theirs.name}};
  comparison.json.update(to_json(*versus));
  const auto alone = [](const std::string& name, const std::vector<std::string>& queries) {
    return queries.empty()
               ? ""
               : in_lines(fmt::format("right with {} alone: {}", name, some_of(queries)));
  };
  const std::string of = versus->seen > 0 ? "on what neither has seen, " + figure : figure;
  comparison.details =
      in_lines(fmt::format(
          "{}: both get {} queries right, {} alone {}, {} alone {}, none {}; exact McNemar test "
          "p = {:.2g}",
          of, versus->both, ours.name, versus->ours_alone.size(), theirs.name,
          versus->theirs_alone.size(), versus->neither, versus->mcnemar_p)) +
      alone(ours.name, versus->ours_alone) + alone(theirs.name, versus->theirs_alone);
  comparison.sentence = verdict_lines(ours.name, theirs.name, of, versus->verdict);
  return comparison;
}

void report_passed_over(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) say_line(line);
}

// Where the pairs to rank, or the lists, are.
struct PairSource {
  std::string folder, where;
  bool from_pairs = true;
  OnCorrupt on_corrupt = OnCorrupt::stop;
};

PairSource source_of(const EvaluateArguments& arguments) {
  PairSource source{.where = arguments.candidates,
                    .from_pairs = arguments.candidates.empty(),
                    .on_corrupt = arguments.skip_corrupt ? OnCorrupt::skip : OnCorrupt::stop};
  const fs::path data = arguments.data;
  source.folder = pairs_folder(data, source.from_pairs ? "train" : "test");
  if (source.from_pairs)
    source.where = arguments.pairs.empty()
                       ? data / (fs::exists(data / "test.csv") ? "test.csv" : "pairs.csv")
                       : fs::path(arguments.pairs);
  return source;
}

RankedImages open_to_rank(const EvaluateArguments& arguments, const PairSource& source,
                          const Preprocess& preprocess) {
  if (!source.from_pairs)
    return open_candidates_to_rank(source.folder, source.where, arguments.truth, preprocess,
                                   source.on_corrupt);
  return open_pairs_to_rank(source.folder, source.where, preprocess, arguments.count,
                            arguments.lists, arguments.seed, source.on_corrupt);
}

// What a network makes of the images, and the scores of the lists.
struct RankedEmbeddings {
  Tensor left, right, scores;
};
RankedEmbeddings rank_by(const Model& model, const RankedImages& ranked, const Compute& compute) {
  Network& network = *model.network;
  RankedEmbeddings made{
      .left = embed(network, ranked.images, ranked.left, compute, PairSide::left),
      .right = embed(network, ranked.images, ranked.right, compute, PairSide::right)};
  check_finite(made.left, ranked.protocol.left);
  check_finite(made.right, ranked.protocol.right);
  made.scores = score_lists(network, made.left, made.right, ranked.protocol.lists, compute);
  mark_unread(ranked, made.scores);
  return made;
}

Answers pair_answers(const std::string& name, const Protocol& protocol, std::span<const Rank> ranks,
                     const QueryStates& states) {
  Answers answers = answers_of(
      name, fmt::format("pairs {}, candidates {}", protocol.pairs_hash, protocol.candidates_hash),
      protocol.left, ranks);
  for (size_t query = 0; query < states.seen.size(); query++) {
    answers.seen[query] = states.seen[query] != QuerySeen::no;
    if (!states.measured[query]) answers.lists[query] = 0;
  }
  return answers;
}

using Queries = std::vector<bool>;

constexpr const char* kUnseen = "unseen";

// The queries of a model in rows of their own: those that it has not seen, and those that it has.
std::vector<std::pair<std::string, Queries>> by_memory(const QueryStates& states) {
  std::vector<std::pair<std::string, Queries>> kinds;
  for (const auto& [state, label] : {std::pair(QuerySeen::no, kUnseen),
                                     {QuerySeen::in_training, "seen in training"},
                                     {QuerySeen::in_validation, "seen in validation"}}) {
    if (states.count(state) == 0) continue;
    Queries queries = states.measured;
    for (size_t i = 0; i < queries.size(); i++) queries[i] = queries[i] && states.seen[i] == state;
    kinds.emplace_back(label, std::move(queries));
  }
  return kinds;
}

std::string row_name(const std::string& label, const Queries& queries) {
  return fmt::format("{} ({})", label, std::ranges::count(queries, true));
}

// Every query among all right images.
struct GalleryEvaluation {
  std::string table;
  nlohmann::ordered_json json;
};
std::optional<GalleryEvaluation> evaluate_gallery(const EvaluateArguments& arguments,
                                                  const Model& model, const RankedImages& ranked,
                                                  const RankedEmbeddings& made,
                                                  const QueryStates& states,
                                                  const Compute& compute) {
  const std::vector<int64_t> images = gallery_of(ranked, {}).rows;
  const int64_t queries = std::ranges::count(states.measured, true), count = std::ssize(images);
  if (model.network->matcher && queries > kMostMatched / count) {
    say("without ranks among all right images: {} queries and {} images are more than {} pairs, "
        "too many for the matcher of {}",
        queries, count, kMostMatched, arguments.model);
    return {};
  }
  // Rows of the protocol, and the images of these.
  const auto kept = [](const Queries& keep) {
    std::vector<int64_t> rows;
    for (size_t i = 0; i < keep.size(); i++)
      if (keep[i]) rows.push_back(static_cast<int64_t>(i));
    return rows;
  };
  const auto pixels_of_rows = [&](const std::vector<int64_t>& rows,
                                  const std::vector<int64_t>& side) {
    std::vector<int64_t> of_rows;
    for (const int64_t row : rows) of_rows.push_back(side[row]);
    return pixels_of(ranked.images, of_rows);
  };
  std::vector<GalleryReport> reports;
  const int64_t pixel_bytes = (queries + count) * ranked.images.preprocess().image_size() * 4;
  if (pixel_bytes <= kMostPixelBytes) {
    const auto ranks = gallery_ranks(pixels_of_rows(kept(states.measured), ranked.left),
                                     pixels_of_rows(images, ranked.right),
                                     gallery_of(ranked, states.measured).truth, Similarity::cosine);
    reports.push_back(gallery_report(kRawPixels, ranks, count));
  } else {
    say("without raw pixels among all right images: {} images are more than {} MiB of numbers",
        queries + count, kMostPixelBytes >> 20);
  }
  const Tensor gallery = rows_of(made.right, images);
  const auto report = [&](const std::string& name, const Queries& of) {
    const auto ranks = rank_gallery(*model.network, rows_of(made.left, kept(of)), gallery,
                                    gallery_of(ranked, of).truth, compute);
    return gallery_report(name, ranks, count);
  };
  GalleryEvaluation evaluation;
  const auto kinds = by_memory(states);
  const bool any_seen = states.count(QuerySeen::no) < queries;
  for (const GalleryReport& baseline : reports)
    evaluation.json["baselines"][baseline.name] = to_json(baseline);
  for (const auto& [label, of] : kinds) {
    reports.push_back(report(any_seen ? row_name(label, of) : arguments.model, of));
    reports.back().seen = label != kUnseen;
    if (any_seen) evaluation.json["by_memory"][label] = to_json(reports.back());
    if (label == kinds[0].first && states.count(QuerySeen::no) > 0)
      evaluation.json["model"] = to_json(reports.back());
  }
  evaluation.table = gallery_table(reports);
  return evaluation;
}

// The validation pairs of the data folder, else those of the model's run where they are pairs of
// this data; "" where there are none but what is evaluated.
std::string validation_file(const EvaluateArguments& arguments, const std::string& where) {
  std::error_code ignored;
  const fs::path data = arguments.data, of_data = data / "val.csv",
                 of_run = fs::path(arguments.model).parent_path() / "splits" / "val.csv";
  const fs::path file = is_there(of_data) ? of_data : of_run;
  if (!is_there(file) || fs::equivalent(file, where, ignored)) return "";
  if (file == of_data) return file;
  const fs::path all = data / (is_there(data / "pairs.csv") ? "pairs.csv" : "train.csv");
  if (!is_there(all)) return "";
  std::set<std::pair<std::string, std::string>> pairs;
  for (const Pair& pair : read_pairs(all)) pairs.emplace(pair.left, pair.right);
  const auto is_here = [&](const Pair& pair) { return pairs.contains({pair.left, pair.right}); };
  return std::ranges::all_of(read_pairs(file), is_here) ? file.string() : "";
}

// The threshold for kMaxFalseMatchRate on validation pairs, where there are any.
std::optional<double> validation_threshold(const EvaluateArguments& arguments,
                                           const PairSource& source, const Model& model,
                                           const Compute& compute) {
  const std::string file = validation_file(arguments, source.where);
  if (file.empty() || read_pairs(file).size() < 2) return {};
  const RankedImages ranked =
      open_pairs_to_rank(pairs_folder(arguments.data, "train"), file, model.preprocess,
                         arguments.count, arguments.lists, arguments.seed, source.on_corrupt);
  report_skipped(ranked.skipped);
  // A run's own names may be those of other pictures here, and pairs that trained the model flatter
  // it.
  const QueryStates states = states_of_queries(ranked, model.seen);
  const bool of_run = fs::path(file).parent_path() != fs::path(arguments.data);
  const int64_t known = states.count(QuerySeen::in_validation),
                trained = states.count(QuerySeen::in_training);
  if (trained > 0 || (of_run && known < std::ssize(ranked.protocol.left))) {
    say("without a threshold from validation pairs: {} of {} queries of {} trained {} and {} chose "
        "its epoch",
        trained, ranked.protocol.left.size(), file, arguments.model, known);
    return {};
  }
  return threshold_of(scored_pairs(ranked.protocol, rank_by(model, ranked, compute).scores),
                      kMaxFalseMatchRate);
}

// A line for each report with a threshold from validation.
std::string chosen_lines(std::span<const Report> reports) {
  const auto share = [](const Estimate& rate) {
    return fmt::format("{:.1f} % [{:.1f}, {:.1f}]", 100 * rate.value, 100 * rate.low,
                       100 * rate.high);
  };
  std::string lines;
  for (const Report& report : reports)
    if (report.chosen)
      lines += in_lines(fmt::format(
          "{}, at the threshold for {:g} % false matches among the validation pairs: true "
          "matches {}, false ones {}",
          report.name, 100 * kMaxFalseMatchRate, share(report.chosen->true_match_rate),
          share(report.chosen->false_match_rate)));
  return lines.empty() ? "" : '\n' + lines;
}

void evaluate_pairs(const EvaluateArguments& arguments, const Model& model, const Other* other,
                    const Compute& compute) {
  const bool from_pairs = arguments.candidates.empty(),
             labelled = from_pairs || !arguments.truth.empty();
  check(labelled || (!arguments.scores.empty() && arguments.json.empty() && !other),
        "--candidates without --truth has no accuracy, only --scores");
  const PairSource source = source_of(arguments);
  const std::string& where = source.where;
  RankedImages ranked = open_to_rank(arguments, source, model.preprocess);
  QueryStates states;
  if (labelled) {
    states = states_of_queries(ranked, model.seen);
    check_unseen(arguments, arguments.model, where, count_seen(states), "queries", "--pairs");
  }
  QueryStates their_states;
  Answers theirs;
  if (other && other->model) {
    their_states = states_of_queries(ranked, other->model->seen);
    check_unseen(arguments, other->path, where, count_seen(their_states), "queries", "--pairs");
  } else if (other) {
    std::vector<Rank> asked;
    for (const int64_t query : ranked.protocol.lists.query) asked.push_back({query, 0});
    theirs = other->answers("", pair_answers("", ranked.protocol, asked, states),
                            arguments.include_seen);
  }
  report_passed_over(ranked.passed_over);
  report_skipped(ranked.skipped);
  const std::string shorter = from_pairs ? shorter_lists(ranked.protocol, arguments.count) : "";
  if (!shorter.empty()) say("{}: {}", where, shorter);
  const RankedEmbeddings made = rank_by(model, ranked, compute);
  const Tensor& scores = made.scores;
  if (!labelled) {
    write_scores(arguments.scores, ranked.protocol, scores);
    print_line("{}: scores of {} lists of {} candidates", arguments.scores,
               ranked.protocol.lists.lists(), ranked.protocol.lists.count);
    return;
  }

  // What is measured of these scores, and by what they were named.
  const auto report = [&](const std::string& name, const Tensor& of, const Queries& queries) {
    const ScoredProtocol part = select_queries(ranked.protocol, of, queries);
    return evaluate_scores(name, part.protocol, part.scores, arguments.top);
  };
  const auto baselines =
      pixel_scores(ranked, training_mean(arguments.data, model.preprocess, source.on_corrupt));
  const std::optional<double> threshold = validation_threshold(arguments, source, model, compute);
  // The same of the model, at the threshold of validation, too.
  const auto report_of_model = [&](const std::string& name, const Queries& queries) {
    Report made_report = report(name, scores, queries);
    const ScoredProtocol part = select_queries(ranked.protocol, scores, queries);
    if (threshold)
      made_report.chosen = rates_at(*threshold, scored_pairs(part.protocol, part.scores), 0);
    return made_report;
  };
  std::vector<Report> reports{
      chance_report(select_queries(ranked.protocol, scores, states.measured).protocol, arguments.top)};
  for (const auto& [name, of_pixels] : baselines)
    reports.push_back(report(name, of_pixels, states.measured));
  reports.push_back(report_of_model(arguments.model, states.measured));
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
    for (const auto& [label, queries] : by_memory(states)) {
      reports.push_back(report_of_model(row_name(label, queries), queries));
      reports.back().seen = label != kUnseen;
      json["by_memory"][label] = to_json(reports.back());
    }
    // No figure goes by the model's name alone that is of what it has seen.
    json["all_queries"] = json["model"];
    json.erase("model");
    if (json["by_memory"].contains(kUnseen)) json["model"] = json["by_memory"][kUnseen];
  }
  const auto gallery = evaluate_gallery(arguments, model, ranked, made, states, compute);
  if (gallery) json["gallery"] = gallery->json;
  std::string details, sentences;
  if (states.count(QuerySeen::no) > 0) {
    const Queries unseen = by_memory(states)[0].second;
    const auto ranks = [&](const Tensor& of) {
      const ScoredProtocol part = select_queries(ranked.protocol, of, unseen);
      return ranks_of(part.protocol, part.scores);
    };
    const Verdict verdict = compare_ranks(ranks(scores), ranks(baselines[0].second));
    json["versus_raw_pixels"] = to_json(verdict);
    sentences = verdict_lines(arguments.model, kRawPixels,
                              any_seen ? "on what it has not seen, top-1" : "top-1", verdict);
  }
  const Answers ours =
      pair_answers(arguments.model, ranked.protocol, ranks_of(ranked.protocol, scores), states);
  json["answers"] = to_json(ours);
  if (other) {
    if (other->model) {
      const RankedImages images = open_to_rank(arguments, source, other->model->preprocess);
      const Tensor their_scores = rank_by(*other->model, images, compute).scores;
      theirs = pair_answers(other->path, images.protocol, ranks_of(images.protocol, their_scores),
                            their_states);
    }
    if (const auto comparison = compare_with(theirs, ours, "top-1")) {
      json["versus"] = comparison->json;
      details = '\n' + comparison->details;
      sentences += comparison->sentence;
    }
  }
  if (!arguments.scores.empty()) write_scores(arguments.scores, ranked.protocol, scores);
  if (!arguments.json.empty()) write_file_atomically(arguments.json, text_of(json));
  print_styled(ranking_table(reports) + '\n' + (gallery ? gallery->table + '\n' : "") +
               verification_table(std::span(reports).subspan(of_model)) + chosen_lines(reports) +
               details + (sentences.empty() ? "" : '\n' + sentences));
}

ClassData open_class_data(const EvaluateArguments& arguments, const Preprocess& preprocess) {
  const OnCorrupt on_corrupt = arguments.skip_corrupt ? OnCorrupt::skip : OnCorrupt::stop;
  ClassData data =
      arguments.images.empty()
          ? load_classes(arguments.data, arguments.part, preprocess, on_corrupt)
          : load_named_classes(arguments.data, arguments.images, preprocess, on_corrupt);
  return arguments.groups.empty() ? std::move(data) : only_groups(data, arguments.groups);
}

// What a model makes of class data: all images, and those of one-shot lists where there are any.
struct ClassEvaluation {
  std::string name;
  Tensor embeddings;
  std::vector<bool> seen;  // of each image, by the model
  Report one_shot;
  ClassReport classes;
};
ClassEvaluation evaluate_classes_by(const EvaluateArguments& arguments, const std::string& name,
                                    const Model& model, const ClassData& data,
                                    const OneShot* one_shot, const Compute& compute) {
  ClassEvaluation made{
      .name = name, .embeddings = embed(*model.network, data.images, data.images.all(), compute)};
  check_finite(made.embeddings, data.names);
  for (const int64_t image : data.images.all()) {
    const uint64_t hash = data.images.content_hash(image);
    made.seen.push_back(model.seen.trained_on(hash) || model.seen.validated_on(hash));
  }
  if (one_shot) {
    const Tensor scores =
        score_lists(*model.network, rows_of(made.embeddings, one_shot->left),
                    rows_of(made.embeddings, one_shot->right), one_shot->protocol.lists, compute);
    made.one_shot = evaluate_scores(name, one_shot->protocol, scores, kOneShotKs, arguments.seed);
  }
  made.classes = evaluate_classes(name, data, made.embeddings, model.network->similarity, {1, 5},
                                  arguments.seed);
  return made;
}

// What asks is the images that are not alone in their class.
Answers class_answers(const ClassData& data, const ClassEvaluation& made) {
  std::vector<int64_t> sizes(data.classes.size());
  for (const int32_t label : data.labels) sizes[label]++;
  std::vector<std::string> names;
  std::vector<bool> seen;
  for (size_t i = 0; i < made.seen.size(); i++) {
    if (sizes[data.labels[i]] == 1) continue;
    names.push_back(data.names[i]);
    seen.push_back(made.seen[i]);
  }
  std::vector<Rank> ranks;
  for (const double right : made.classes.retrieval.first_is_right)
    ranks.push_back({std::ssize(ranks), right == 1 ? 1 : 2});
  Answers answers =
      answers_of(made.name, "data " + made.classes.data_hash, std::move(names), ranks);
  answers.seen = std::move(seen);
  return answers;
}

Answers one_shot_answers(const OneShot& one_shot, const ClassEvaluation& made) {
  Answers answers = pair_answers(made.name, one_shot.protocol, made.one_shot.ranks, {});
  for (size_t query = 0; query < one_shot.left.size() && !made.seen.empty(); query++)
    answers.seen[query] = made.seen[one_shot.left[query]];
  return answers;
}

void evaluate_class_data(const EvaluateArguments& arguments, const Model& model, const Other* other,
                         const Compute& compute) {
  check(arguments.similarity.empty() || !model.network->matcher,
        "--similarity with {}, which judges pairs by its own matcher", arguments.model);
  if (!arguments.similarity.empty()) model.network->similarity = parse_similarity(arguments.similarity);
  const Similarity similarity = model.network->similarity;
  const ClassData data = open_class_data(arguments, model.preprocess);
  report_passed_over(data.passed_over);
  report_skipped(data.skipped);
  const std::string where = arguments.images.empty() ? arguments.data : arguments.images;
  const SeenCount seen = count_seen(data.images, model.seen);
  check_unseen(arguments, arguments.model, where, seen, "images", "--images");
  const std::string name = name_with_seen(arguments.model, seen);
  std::string other_name;
  if (other && other->model) {
    const SeenCount theirs = count_seen(data.images, other->model->seen);
    check_unseen(arguments, other->path, where, theirs, "images", "--images");
    other_name = name_with_seen(other->path, theirs);
  }
  std::optional<OneShot> lists;
  if (arguments.ways_option->count() > 0 || groups_of(data) != std::vector<std::string>{""})
    lists = make_one_shot(data, arguments.ways, arguments.runs, arguments.seed);
  const OneShot* one_shot = lists ? &*lists : nullptr;
  const ClassEvaluation ours = evaluate_classes_by(arguments, name, model, data, one_shot, compute);
  ClassEvaluation theirs;
  if (other && other->model) {
    const ClassData images = open_class_data(arguments, other->model->preprocess);
    theirs = evaluate_classes_by(arguments, other_name, *other->model, images, one_shot, compute);
  }
  Tensor pixels;
  if (data.images.size() * data.images.preprocess().image_size() * 4 <= kMostPixelBytes)
    pixels = pixels_of(data.images, data.images.all());
  else
    say("without raw pixels: {} images are more than {} MiB of numbers", data.images.size(),
        kMostPixelBytes >> 20);
  nlohmann::ordered_json json;
  std::string text, details, sentences;
  const auto compare = [&](const char* section, const char* figure, const Answers& mine,
                           const Answers& of_other) {
    json[section]["answers"] = to_json(mine);
    if (!other) return;
    const auto comparison = compare_with(
        other->model ? of_other : other->answers(section, mine, arguments.include_seen), mine,
        figure);
    if (!comparison) return;
    json[section]["versus"] = comparison->json;
    details += comparison->details;
    sentences += comparison->sentence;
  };
  if (one_shot) {
    std::vector<Report> reports{chance_report(one_shot->protocol, kOneShotKs)};
    if (pixels.defined())
      reports.push_back(evaluate_scores(
          kRawPixels, one_shot->protocol,
          score_candidates(rows_of(pixels, one_shot->left), rows_of(pixels, one_shot->right),
                           one_shot->protocol.lists, similarity),
          kOneShotKs, arguments.seed));
    reports.push_back(ours.one_shot);
    json["one_shot"] = json_of(reports);
    if (pixels.defined()) {
      const Verdict verdict = versus_pixels(reports);
      json["one_shot"]["versus_raw_pixels"] = to_json(verdict);
      sentences = verdict_lines(name, kRawPixels, "one-shot top-1", verdict);
    }
    text += "one-shot classification: " + ranking_table(reports) + '\n';
    compare("one_shot", "one-shot top-1", one_shot_answers(*one_shot, ours),
            one_shot_answers(*one_shot, theirs));
  }
  std::vector<ClassReport> reports;
  if (pixels.defined())
    reports.push_back(
        evaluate_classes(kRawPixels, data, pixels, similarity, {1, 5}, arguments.seed));
  reports.push_back(ours.classes);
  json["classes"] = json_of(reports);
  if (pixels.defined()) {
    const Verdict verdict = compare_queries(reports.back().retrieval.first_is_right,
                                            reports.front().retrieval.first_is_right);
    json["classes"]["versus_raw_pixels"] = to_json(verdict);
    sentences += verdict_lines(name, kRawPixels, "precision@1", verdict);
  }
  compare("classes", "precision@1", class_answers(data, ours), class_answers(data, theirs));
  json["seen_in_training"] = seen.in_training;
  json["seen_in_validation"] = seen.in_validation;
  json["remembers_all_it_saw"] = model.seen.complete;
  if (!arguments.json.empty()) write_file_atomically(arguments.json, text_of(json));
  if (!arguments.scatter.empty())
    write_file_atomically(
        arguments.scatter,
        scatter_svg(arguments.model, ours.embeddings, data.labels, data.classes, arguments.seed));
  print_styled(text + class_table(reports) + '\n' + (details.empty() ? "" : details + '\n') +
               sentences);
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
                 {"--versus", find_weights(arguments.versus).value_or("")},
                 {"--center", arguments.center},
                 {"--pairs", arguments.pairs},
                 {"--candidates", arguments.candidates},
                 {"--truth", arguments.truth},
                 {"--images", arguments.images}});
  const Compute compute = arguments.compute.parse();
  Model model = load_model(arguments.model);
  std::optional<Other> other;
  if (!arguments.versus.empty()) other = open_other(arguments.versus);
  const auto say_what_is_forgotten = [](const std::string& name, const Model& of) {
    if (!of.seen.complete)
      say("{}: does not remember all that it was trained on; whether these figures are of pictures "
          "that it has seen can't be told",
          name);
  };
  say_what_is_forgotten(arguments.model, model);
  if (other && other->model) say_what_is_forgotten(other->path, *other->model);
  std::vector<std::string> skipped;
  if (!arguments.center.empty())
    use_center(model, arguments.model, arguments.center, compute, arguments.skip_corrupt ? &skipped : nullptr);
  report_skipped(skipped);
  for (Model* of : {&model, other && other->model ? &*other->model : nullptr}) {
    if (!of) continue;
    of->network->fold();
    prepare_network(*of->network, compute);
  }
  (pairs ? evaluate_pairs : evaluate_class_data)(arguments, model, other ? &*other : nullptr,
                                                 compute);
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
  command
      ->add_option("--versus", arguments->versus,
                   "Also compare with this model, or with the results that --json wrote of one, on "
                   "the same lists")
      ->type_name("OTHER");
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
