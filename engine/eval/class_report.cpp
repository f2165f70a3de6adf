#include "engine/eval/class_report.h"

#include "engine/core/error.h"
#include "engine/eval/protocol.h"
#include "engine/eval/table.h"

namespace lookalike {

ClassReport evaluate_classes(const std::string& name, const ClassData& data, const Tensor& embeddings,
                             Similarity similarity, const std::vector<int64_t>& ks, uint64_t seed) {
  ClassReport report{.name = name,
                     .images = std::ssize(data.labels),
                     .classes = std::ssize(data.classes),
                     .similarity = similarity,
                     .ks = ks};
  std::vector<Pair> named;
  for (size_t i = 0; i < data.labels.size(); i++) named.push_back({data.names[i], data.classes[data.labels[i]]});
  report.data_hash = content_hash(named);
  report.retrieval = labelled_metrics(embeddings, data.labels, ks, similarity, seed);
  report.verification =
      verification_metrics(labelled_pairs(embeddings, data.labels, similarity, seed), kMaxFalseMatchRate, seed);
  return report;
}

std::string class_table(std::span<const ClassReport> reports) {
  check(!reports.empty(), "a table of no reports");
  const ClassReport& first = reports.front();
  std::vector<std::vector<std::string>> rows{{"", "precision@1 %"}};
  // recall@1 is precision@1.
  for (const int64_t k : first.ks)
    if (k > 1) rows[0].push_back(fmt::format("recall@{} %", k));
  for (const char* heading : {"R-precision %", "MAP@R %", "ROC AUC %", "EER %"}) rows[0].push_back(heading);
  std::vector<double> figures;
  for (const ClassReport& report : reports) {
    figures.push_back(report.retrieval.precision_at_1.value);
    check(report.data_hash == first.data_hash && report.ks == first.ks && report.similarity == first.similarity,
          "a table of '{}' and '{}', which were asked differently", first.name, report.name);
    auto& row = rows.emplace_back(std::vector{report.name, cell(report.retrieval.precision_at_1, 100, 1)});
    for (size_t i = 0; i < report.ks.size(); i++)
      if (report.ks[i] > 1) row.push_back(cell(report.retrieval.recall[i], 100, 1));
    for (const Estimate& figure : {report.retrieval.r_precision, report.retrieval.map_at_r, report.verification.roc_auc,
                                   report.verification.eer})
      row.push_back(cell(figure, 100, 1));
  }
  return fmt::format("{} images of {} classes, each ranks all others by {}\ndata {}\n\n{}",
                     first.images, first.classes, name_of(first.similarity), first.data_hash,
                     align(rows, best_row(figures, std::vector<bool>(figures.size(), true))));
}

nlohmann::ordered_json to_json(const ClassReport& report) {
  nlohmann::ordered_json json{
      {"name", report.name},           {"images", report.images},
      {"classes", report.classes},     {"similarity", name_of(report.similarity)},
      {"data_hash", report.data_hash}, {"precision_at_1", to_json(report.retrieval.precision_at_1)}};
  for (size_t i = 0; i < report.ks.size(); i++)
    json[fmt::format("recall_at_{}", report.ks[i])] = to_json(report.retrieval.recall[i]);
  json["r_precision"] = to_json(report.retrieval.r_precision);
  json["map_at_r"] = to_json(report.retrieval.map_at_r);
  json["verification"] = to_json(report.verification);
  return json;
}

}  // namespace lookalike
