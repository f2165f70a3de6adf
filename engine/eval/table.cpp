#include "engine/eval/table.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace lookalike {

std::string align(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(rows[0].size());
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); i++) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const auto& row : rows) {
    std::string line = fmt::format("{:<{}}", row[0], widths[0]);
    for (size_t i = 1; i < row.size(); i++) line += fmt::format("  {:>{}}", row[i], widths[i]);
    text += line + '\n';
  }
  return text;
}

std::string cell(const Estimate& estimate, double scale, int digits) {
  const std::string value = fmt::format("{:.{}f}", scale * estimate.value, digits);
  if (estimate.n == 0) return value;
  return fmt::format("{} [{:.{}f}, {:.{}f}]", value, scale * estimate.low, digits, scale * estimate.high, digits);
}

nlohmann::ordered_json to_json(const Estimate& estimate) {
  return {{"value", estimate.value}, {"low", estimate.low}, {"high", estimate.high}, {"n", estimate.n}};
}

nlohmann::ordered_json to_json(const VerificationMetrics& metrics) {
  nlohmann::ordered_json json{{"roc_auc", to_json(metrics.roc_auc)},
                              {"eer", to_json(metrics.eer)},
                              {"true_match_rate", to_json(metrics.true_match_rate)},
                              {"false_match_rate", metrics.false_match_rate}};
  // JSON has no infinity.
  if (std::isfinite(metrics.threshold)) json["threshold"] = metrics.threshold;
  return json;
}

}  // namespace lookalike
