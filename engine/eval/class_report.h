// What an evaluation of labelled embeddings says: retrieval of an item's class, and telling classes apart.
#pragma once

#include "engine/data/classes.h"
#include "engine/eval/metrics.h"

namespace lookalike {

struct ClassReport {
  std::string name;  // of what was evaluated
  int64_t images = 0, classes = 0;
  Similarity similarity = Similarity::cosine;
  std::string data_hash;  // of all names and classes
  std::vector<int64_t> ks;
  LabelledMetrics retrieval;
  VerificationMetrics verification;  // labelled_pairs, threshold at kMaxFalseMatchRate
};

// Embeddings of all images of `data`. Lists, pairs and intervals come from `seed`.
ClassReport evaluate_classes(const std::string& name, const ClassData& data, const Tensor& embeddings,
                             Similarity similarity, const std::vector<int64_t>& ks = {1, 5}, uint64_t seed = 0);

// A line for each report; they are of the same data.
std::string class_table(std::span<const ClassReport> reports);
nlohmann::ordered_json to_json(const ClassReport& report);

}  // namespace lookalike
