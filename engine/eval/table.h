// Figures as people and programs read them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/eval/metrics.h"

namespace lookalike {

// Rows under headings, in columns as wide as they need, the first one flush left, of 80 characters
// at most: columns that do not fit follow below. A cell may have two lines; a long name in the
// first column is broken, and shortened from the left. Row `best` stands out where print_styled()
// prints it; -1: none does.
std::string align(std::vector<std::vector<std::string>> rows, int64_t best = -1);

// The row, below a heading, of the highest of the figures that compete, the first of equals; -1
// where fewer than two do.
int64_t best_row(std::span<const double> figures, const std::vector<bool>& competes);

// A value over its interval, "75.4" and "[71.0, 79.8]" or "[71.0, 100]"; the value alone where it
// has no uncertainty.
std::string cell(const Estimate& estimate, double scale, int digits);

nlohmann::ordered_json to_json(const Estimate& estimate);
nlohmann::ordered_json to_json(const VerificationMetrics& metrics);

}  // namespace lookalike
