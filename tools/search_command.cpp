// lookalike search INDEX QUERY...: which pictures of an index look most like these.
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>

#include "engine/data/loader.h"
#include "engine/eval/embed.h"
#include "engine/report/page.h"
#include "engine/search/index_file.h"
#include "engine/search/search.h"
#include "models/model.h"
#include "tools/commands.h"
#include "tools/image_inputs.h"
#include "tools/output_files.h"
#include "tools/results.h"

namespace lookalike {
namespace {

struct SearchArguments {
  std::string index, above, html;
  std::vector<std::string> queries;
  const CLI::Option* above_option = nullptr;
  int64_t k = 10;
  bool json = false, from_stdin = false, orientations = false;
  ComputeArguments compute;
};

struct Match {
  int64_t row;
  double score;
  int orientation;
};

// An index that is searched by pictures.
class PictureSearch {
 public:
  PictureSearch(const IndexFile& index, const SearchArguments& arguments, const Compute& compute)
      : index_(index),
        arguments_(arguments),
        compute_(compute),
        model_(model_of(index.model(), index.path())),
        searcher_(index.embeddings(), model_.network->similarity, compute.device) {
    const int64_t width = embedding_width(
        *model_.network,
        {model_.preprocess.height, model_.preprocess.width, model_.preprocess.channels},
        index.path());
    check(width == index.width(), "{}: its model makes {} values, its embeddings have {}",
          index.path(), width, index.width());
    if (arguments.above_option->count() > 0)
      least_ = threshold_of(arguments.above, model_.calibration, model_.network->similarity,
                            index.path());
    prepare_model(model_, compute);
  }

  Similarity similarity() const { return model_.network->similarity; }
  std::optional<double> least() const { return least_; }
  const IndexFile& index() const { return index_; }

  struct Answer {
    std::vector<Match> matches;  // best first
    uint64_t hash = 0;           // content_hash() of the query
  };
  // Error where a query can't be read.
  std::vector<Answer> find(const std::vector<std::string>& queries) {
    const int variants = arguments_.orientations ? kOrientations : 1;
    const IndexedImages asked = embed(queries);
    const Neighbors found = searcher_.find(asked.embeddings, arguments_.k);
    const int64_t each = found.indices.shape()[1];
    std::vector<Answer> answers;
    for (size_t query = 0; query < queries.size(); query++) {
      Answer& answer = answers.emplace_back();
      answer.hash = asked.hashes[query];
      for (int64_t i = 0; i < variants * each; i++) {
        const int64_t at = static_cast<int64_t>(query) * variants * each + i;
        const Match match{found.indices.data<int64_t>()[at], found.scores.data<float>()[at],
                          static_cast<int>(i / each)};
        if (!least_ || match.score >= *least_) answer.matches.push_back(match);
      }
      if (variants > 1) keep_best(answer.matches);
    }
    return answers;
  }

 private:
  // The best of all orientations for each row, then the best k.
  void keep_best(std::vector<Match>& matches) const {
    std::ranges::stable_sort(matches, [](const Match& a, const Match& b) {
      return a.score > b.score || (a.score == b.score && a.row < b.row);
    });
    std::vector<Match> best;
    for (const Match& match : matches)
      if (std::ranges::find(best, match.row, &Match::row) == best.end() &&
          std::ssize(best) < arguments_.k)
        best.push_back(match);
    matches = best;
  }

  // A row for each query, or one for each of its orientations.
  IndexedImages embed(const std::vector<std::string>& queries) {
    const Preprocess& preprocess = model_.preprocess;
    IndexedImages images;
    if (!arguments_.orientations) {
      std::map<int64_t, std::string> unread;
      images.names = queries;
      images.embeddings = comparable_rows(
          *model_.network, embed_files(*model_.network, queries, preprocess, compute_, nullptr,
                                       PairSide::any, &unread, &images.hashes));
      if (!unread.empty()) fail("{}", unread.begin()->second);
      check_finite(images.embeddings, images.names);
      return images;
    }
    for (const std::string& query : queries) {
      const Image decoded = read_image(query, 3);
      images.hashes.push_back(content_hash(decoded));
      std::vector<uint8_t> pixels;
      for (int o = 0; o < kOrientations; o++) {
        const Image image = prepare_image(orient(decoded, o), preprocess);
        pixels.insert(pixels.end(), image.pixels.begin(), image.pixels.end());
        images.names.push_back(query);
      }
      const ImageStore store(std::move(pixels), std::vector<uint64_t>(kOrientations), preprocess);
      const Tensor rows = comparable_rows(
          *model_.network, lookalike::embed(*model_.network, store, store.all(), compute_));
      if (!images.embeddings.defined())
        images.embeddings = Tensor(rows.shape().with_rows(kOrientations * std::ssize(queries)));
      const int64_t begin = std::ssize(images.names) - kOrientations;
      images.embeddings.rows(begin, begin + kOrientations).copy_from(rows);
    }
    check_finite(images.embeddings, images.names);
    return images;
  }

  const IndexFile& index_;
  const SearchArguments& arguments_;
  const Compute compute_;
  Model model_;
  Searcher searcher_;
  std::optional<double> least_;
};

nlohmann::ordered_json json_of(const IndexFile& index, const SearchArguments& arguments,
                               const std::string& query, const PictureSearch::Answer& answer) {
  nlohmann::ordered_json json{{"query", query}, {"matches", nlohmann::ordered_json::array()}};
  for (const auto& [row, score, orientation] : answer.matches) {
    auto& match = json["matches"].emplace_back(
        nlohmann::ordered_json{{"name", index.names()[row]},
                               {"score", score},
                               {"same_picture", index.hashes()[row] == answer.hash}});
    if (arguments.orientations) match["orientation"] = kOrientationNames[orientation];
  }
  return json;
}

void print_answer(const IndexFile& index, const std::string& query,
                  const PictureSearch::Answer& answer) {
  print_line("{}", query);
  if (answer.matches.empty()) print_line("  nothing at or above the threshold");
  int rank = 1;
  for (const auto& [row, score, orientation] : answer.matches) {
    std::string remark;
    if (index.hashes()[row] == answer.hash) remark = "  (the same picture)";
    if (orientation > 0) remark += fmt::format("  ({})", kOrientationNames[orientation]);
    print_line("{:>5}  {:7.4f}  {}{}", rank++, score, index.names()[row], remark);
  }
}

GalleryRow row_of(const IndexFile& index, const std::string& query,
                  const PictureSearch::Answer& answer) {
  GalleryRow row{{query, query}, {}};
  for (const auto& [place, score, orientation] : answer.matches) {
    const std::string& name = index.names()[place];
    const std::string turned =
        orientation > 0 ? fmt::format(" ({})", kOrientationNames[orientation]) : "";
    row.others.push_back({name, fmt::format("{:.4f}{}\n{}", score, turned, name)});
  }
  return row;
}

// A path a line in, a line of JSON out, until the end of the input. What is wrong with one is its
// line.
void answer_lines(const SearchArguments& arguments, PictureSearch& search) {
  for (std::string line; std::getline(std::cin, line);) {
    if (line.ends_with('\r')) line.pop_back();
    nlohmann::ordered_json json = result_json("search");
    try {
      json.update(json_of(search.index(), arguments, line, search.find({line})[0]));
    } catch (const Error& error) {
      json.update({{"query", line}, {"error", error.what()}});
    }
    print_json_line(json);
    flush_output();
  }
  check(!std::cin.bad(), "standard input cannot be read");
}

void run_search(const SearchArguments& arguments) {
  check(arguments.from_stdin == arguments.queries.empty(),
        "search: {}QUERY and {}--stdin, expected images, or --stdin and a path a line",
        arguments.queries.empty() ? "no " : "", arguments.from_stdin ? "" : "no ");
  const std::vector<std::string> queries = image_inputs(arguments.queries);
  std::vector<NamedInput> inputs{{"INDEX", arguments.index}};
  for (const std::string& query : queries) inputs.push_back({"QUERY", query});
  check_outputs({{"--html", arguments.html, FileKind::html}}, inputs);
  const Compute compute = arguments.compute.parse();
  const IndexFile index(arguments.index);
  PictureSearch search(index, arguments, compute);
  if (arguments.from_stdin) return answer_lines(arguments, search);
  const auto answers = search.find(queries);
  if (!arguments.html.empty()) {
    std::vector<GalleryRow> rows;
    std::vector<std::string> skipped;
    for (size_t i = 0; i < queries.size(); i++)
      rows.push_back(row_of(index, queries[i], answers[i]));
    write_file_atomically(
        arguments.html,
        gallery_page("Pictures that look alike",
                     fmt::format("For each framed picture the nearest of the {} in {}, by {}.",
                                 index.count(), index.path(), name_of(search.similarity())),
                     rows, skipped));
    report_skipped(skipped);
  }
  if (!arguments.json) {
    for (size_t i = 0; i < queries.size(); i++) print_answer(index, queries[i], answers[i]);
    return;
  }
  nlohmann::ordered_json json = result_json("search");
  json.update({{"index", index.path()}, {"similarity", name_of(search.similarity())}});
  json["above"] = nullptr;
  if (search.least()) json["above"] = *search.least();
  json["queries"] = nlohmann::ordered_json::array();
  for (size_t i = 0; i < queries.size(); i++)
    json["queries"].push_back(json_of(index, arguments, queries[i], answers[i]));
  print_json(json);
}

}  // namespace

void add_search_command(CLI::App& app) {
  auto arguments = std::make_shared<SearchArguments>();
  CLI::App* command = app.add_subcommand("search", "Find the pictures that look most like others");
  command->footer(
      "lookalike search pictures.index cat.jpg -k 5\n"
      "find photos -name '*.jpg' | lookalike search pictures.index --stdin");
  command->add_option("INDEX", arguments->index, "An index, as `index build` made it")->required();
  command->add_option("QUERY", arguments->queries, "Images, and folders with images at any depth");
  whole_number(command->add_option("-k,--matches", arguments->k, "Pictures wanted of each"), 1, kMostMatches)
      ->type_name("K")
      ->capture_default_str();
  arguments->above_option = add_above_option(*command, arguments->above);
  add_json_flag(*command, arguments->json);
  CLI::Option* html = output_name(
      command->add_option("--html", arguments->html, "Also write a page with the pictures"));
  html->type_name("FILE.html");
  command
      ->add_flag("--stdin", arguments->from_stdin,
                 "Read a path a line from standard input, and print a line of JSON for each")
      ->excludes(html);
  command->add_flag("--orientations", arguments->orientations,
                    "Also ask with each picture turned and mirrored, in all eight ways");
  arguments->compute.add_to(*command);
  command->callback([arguments] { run_search(*arguments); });
}

}  // namespace lookalike
