#include "engine/eval/gallery.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "engine/core/error.h"
#include "engine/core/progress.h"
#include "engine/eval/table.h"
#include "kernels/parallel.h"
#include "kernels/similarity.h"

namespace lookalike {
namespace {

// A row of the gallery and its score, by which others are ranked.
struct Mark {
  float score = -std::numeric_limits<float>::infinity();
  int64_t row = 0;
};

float ranked_score(float score) {
  return std::isnan(score) ? -std::numeric_limits<float>::infinity() : score;
}

// How many of `count` scores, of rows from `first` on, come before the mark.
int64_t count_before(const float* scores, int64_t count, int64_t first, const Mark& mark) {
  // Rows before the mark win a tie, those behind it lose one.
  const int64_t wins = std::clamp<int64_t>(mark.row - first, 0, count);
  int32_t before = 0;
  for (int64_t i = 0; i < wins; i++) before += ranked_score(scores[i]) >= mark.score;
  for (int64_t i = wins; i < count; i++) before += scores[i] > mark.score;
  return before;
}

std::span<const int64_t> partners_of(const GalleryTruth& truth, int64_t query) {
  const int64_t begin = truth.begins[query];
  return std::span(truth.partners).subspan(begin, truth.begins[query + 1] - begin);
}

template <class ScoreOf>
Mark best_partner(const GalleryTruth& truth, int64_t query, const ScoreOf& score_of) {
  Mark best;
  bool any = false;
  for (const int64_t row : partners_of(truth, query)) {
    const float score = ranked_score(score_of(row));
    if (!any || score > best.score || (score == best.score && row < best.row)) best = {score, row};
    any = true;
  }
  return best;
}

void check_truth(const GalleryTruth& truth, int64_t queries, int64_t images) {
  check(truth.queries() == queries, "partners of {} queries, expected {}", truth.queries(),
        queries);
  for (int64_t query = 0; query < queries; query++) {
    check(truth.begins[query + 1] > truth.begins[query], "query {} has no partner", query);
    for (const int64_t row : partners_of(truth, query))
      check(row >= 0 && row < images, "partner {} of query {}, expected 0 to {}", row, query,
            images - 1);
  }
}

// Adds to `ranks` how many rows of the gallery come before the marks of queries [q, d].
void rank_block(const float* queries, std::span<const Mark> marks, const Tensor& gallery,
                bool distances, std::span<int64_t> ranks) {
  const int64_t q = std::ssize(marks), n = gallery.shape()[0], d = gallery.shape()[1];
  std::mutex mutex;
  const int64_t panels = (n + cpu::kPanelRows - 1) / cpu::kPanelRows;
  cpu::parallel_for(panels, 16, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> before(q);
    cpu::PanelScores scores(queries, q, d, distances);
    for (int64_t row = begin * cpu::kPanelRows; row < std::min(end * cpu::kPanelRows, n);
         row += cpu::kPanelRows) {
      const int64_t rows = std::min(cpu::kPanelRows, n - row);
      scores.with(gallery.data<float>() + row * d, rows,
                  [&](int64_t query, const float* of_query) {
                    before[query] += count_before(of_query, rows, row, marks[query]);
                  });
    }
    // Sums of whole numbers, so the order of the threads does not matter.
    std::lock_guard lock(mutex);
    for (int64_t i = 0; i < q; i++) ranks[i] += before[i];
  });
}

}  // namespace

void GalleryTruth::add_query(std::span<const int64_t> rows) {
  partners.insert(partners.end(), rows.begin(), rows.end());
  begins.push_back(std::ssize(partners));
}

std::vector<int64_t> gallery_ranks(const Tensor& queries, const Tensor& gallery,
                                   const GalleryTruth& truth, Similarity similarity) {
  const Shape &left = queries.shape(), &right = gallery.shape();
  check(left.rank() == 2 && right.rank() == 2 && left[1] == right[1],
        "queries {} and gallery {}: expected rows of one length", left, right);
  const int64_t count = left[0], d = left[1];
  check_truth(truth, count, right[0]);
  const bool distances = similarity == Similarity::negative_distance;
  const Tensor a = distances ? queries : normalize_rows(queries),
               b = distances ? gallery : normalize_rows(gallery);
  std::vector<int64_t> ranks(count, 1);
  ProgressCount progress("ranking", "queries", count);
  // As in exact search: a block of queries stays in a core's cache while the gallery passes by.
  constexpr int64_t kBlock = 256;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t q = std::min(kBlock, count - begin);
    const float* rows = a.data<float>() + begin * d;
    std::vector<Mark> marks;
    for (int64_t i = 0; i < q; i++)
      marks.push_back(best_partner(truth, begin + i, [&](int64_t row) {
        float scores[cpu::kPanelRows];
        cpu::score_rows(rows + i * d, 1, d, b.data<float>() + row * d, 1, distances, scores);
        return scores[0];
      }));
    rank_block(rows, marks, b, distances, std::span(ranks).subspan(begin, q));
    progress.add(q);
  }
  return ranks;
}

std::vector<int64_t> gallery_ranks(
    int64_t count, const GalleryTruth& truth,
    const std::function<std::span<const float>(int64_t query)>& scores_of) {
  check_truth(truth, truth.queries(), count);
  std::vector<int64_t> ranks;
  for (int64_t query = 0; query < truth.queries(); query++) {
    const std::span<const float> scores = scores_of(query);
    const Mark mark = best_partner(truth, query, [&](int64_t row) { return scores[row]; });
    ranks.push_back(1 + count_before(scores.data(), count, 0, mark));
  }
  return ranks;
}

GalleryReport gallery_report(const std::string& name, std::span<const int64_t> ranks,
                             int64_t images, uint64_t seed) {
  GalleryReport report{.name = name, .seen = false, .queries = std::ssize(ranks), .images = images};
  for (const int64_t k : {1, 10, 25, 100})
    if (k <= images) report.ks.push_back(k);
  std::vector<Rank> of_queries;
  for (const int64_t rank : ranks) of_queries.push_back({std::ssize(of_queries), rank});
  report.ranking = rank_metrics(of_queries, report.ks, seed);
  std::vector<int64_t> sorted(ranks.begin(), ranks.end());
  std::ranges::sort(sorted);
  const size_t n = sorted.size();
  report.median_rank = static_cast<double>(sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
  report.cmc.resize(sorted.back());
  for (const int64_t rank : sorted) report.cmc[rank - 1]++;
  double within = 0;
  for (double& share : report.cmc) {
    within += share;
    share = within / static_cast<double>(n);
  }
  return report;
}

std::string gallery_table(std::span<const GalleryReport> reports) {
  check(!reports.empty(), "a table of no reports");
  const GalleryReport& first = reports.front();
  std::vector<std::vector<std::string>> rows{{""}};
  for (const int64_t k : first.ks) rows[0].push_back(fmt::format("recall@{} %", k));
  rows[0].insert(rows[0].end(), {"MRR", "median rank"});
  std::vector<double> figures;
  std::vector<bool> competes;
  for (const GalleryReport& report : reports) {
    figures.push_back(report.ranking.top[0].value);
    competes.push_back(!report.seen);
    check(report.images == first.images, "a table of '{}' and '{}', which were asked differently",
          first.name, report.name);
    auto& row = rows.emplace_back(std::vector{report.name});
    for (const Estimate& recall : report.ranking.top) row.push_back(cell(recall, 100, 1));
    row.push_back(cell(report.ranking.mrr, 1, 3));
    row.push_back(fmt::format("{}", report.median_rank));
  }
  return fmt::format("each query among all {} right images\n\n{}", first.images,
                     align(rows, best_row(figures, competes)));
}

nlohmann::ordered_json to_json(const GalleryReport& report) {
  nlohmann::ordered_json json{
      {"name", report.name}, {"queries", report.queries}, {"images", report.images}};
  for (size_t i = 0; i < report.ks.size(); i++)
    json[fmt::format("recall_at_{}", report.ks[i])] = to_json(report.ranking.top[i]);
  json["mrr"] = to_json(report.ranking.mrr);
  json["median_rank"] = report.median_rank;
  json["cmc"] = report.cmc;
  return json;
}

}  // namespace lookalike
