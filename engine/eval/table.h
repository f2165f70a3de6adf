// Figures as people and programs read them.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/eval/metrics.h"

namespace lookalike {

// Rows under headings, in columns as wide as they need, the first one flush left, of 80 characters
// at most: columns that do not fit follow below. A cell may have two lines; a long name in the
// first column is broken, and shortened from the left.
std::string align(std::vector<std::vector<std::string>> rows);

// A value over its interval, "75.4" and "[71.0, 79.8]" or "[71.0, 100]"; the value alone where it
// has no uncertainty.
std::string cell(const Estimate& estimate, double scale, int digits);

nlohmann::ordered_json to_json(const Estimate& estimate);
nlohmann::ordered_json to_json(const VerificationMetrics& metrics);

}  // namespace lookalike
