#include "engine/eval/table.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "engine/core/error.h"
#include "engine/core/output.h"

namespace lookalike {

namespace {

constexpr size_t kWidth = 80,
                 kNameWidth = 17;  // of a table, and what its first column has at least: "model.safetensors"

// In characters, which UTF-8 writes in one byte or in one and some that continue it.
size_t width_of(const std::string& text) {
  return std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; });
}

std::string pad(const std::string& text, size_t width, bool left) {
  const std::string spaces(width - std::min(width, width_of(text)), ' ');
  return left ? text + spaces : spaces + text;
}

// The end of it, behind "…" where that is not all.
std::string shorten(std::string text, size_t width) {
  if (width_of(text) <= width) return text;
  size_t begin = 0;
  const auto next = [&] {
    do begin++;
    while ((text[begin] & 0xC0) == 0x80);
  };
  for (size_t left = width_of(text); left >= width; left--) next();
  return "…" + text.substr(begin);
}

// A name on one line or, broken behind "/" or at a space, on two.
std::string fit_name(const std::string& name, size_t width) {
  if (width_of(name) <= width) return name;
  const size_t at = name.find_last_of("/ ", name.size() - 2);
  if (at == std::string::npos || width_of(name.substr(at + 1)) > width) return shorten(name, width);
  const std::string first = name.substr(0, name[at] == '/' ? at + 1 : at);
  return shorten(first, width) + '\n' + name.substr(at + 1);
}

std::array<std::string, 2> lines_of(const std::string& cell) {
  const size_t end = cell.find('\n');
  if (end == std::string::npos) return {cell, ""};
  return {cell.substr(0, end), cell.substr(end + 1)};
}

}  // namespace

std::string align(std::vector<std::vector<std::string>> rows, int64_t best) {
  for (auto& row : rows) row[0] = printable(row[0]);  // names, of files too
  std::vector<size_t> widths(rows[0].size());
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); i++)
      for (const std::string& line : i == 0 ? std::array{row[0], std::string()} : lines_of(row[i]))
        widths[i] = std::max(widths[i], width_of(line));
  std::string text;
  for (size_t begin = 1, end; begin < widths.size(); begin = end) {
    size_t width = 2 + widths[begin];
    for (end = begin + 1; end < widths.size() && kNameWidth + width + 2 + widths[end] <= kWidth; end++)
      width += 2 + widths[end];
    const size_t name_width = std::min(widths[0], std::max(kNameWidth, kWidth - std::min(kWidth, width)));
    if (begin > 1) text += '\n';
    for (int64_t number = 0; const auto& row : rows) {
      const bool stands_out = number++ == best;
      std::string lines[2];
      const auto name = lines_of(fit_name(row[0], name_width));
      for (int i : {0, 1}) lines[i] = pad(name[i], name_width, true);
      for (size_t column = begin; column < end; column++)
        for (int i : {0, 1}) lines[i] += "  " + pad(lines_of(row[column])[i], widths[column], false);
      for (const std::string& line : lines) {
        const size_t size = line.find_last_not_of(' ') + 1;
        if (size == 0) continue;
        text += stands_out ? kBold + line.substr(0, size) + kPlain : line.substr(0, size);
        text += '\n';
      }
    }
  }
  return text;
}

int64_t best_row(std::span<const double> figures, const std::vector<bool>& competes) {
  int64_t best = -1;
  for (int64_t i = 0; i < std::ssize(figures); i++)
    if (competes[i] && (best < 0 || figures[i] > figures[best])) best = i;
  return std::ranges::count(competes, true) < 2 ? -1 : best + 1;
}

std::string cell(const Estimate& estimate, double scale, int digits) {
  const std::string value = fmt::format("{:.{}f}", scale * estimate.value, digits);
  if (estimate.n == 0) return value;
  // A whole hundred needs no digits, and narrow columns fit beside each other.
  const auto end = [&](double share) {
    return share == 1 && scale == 100 ? "100" : fmt::format("{:.{}f}", scale * share, digits);
  };
  return fmt::format("{}\n[{}, {}]", value, end(estimate.low), end(estimate.high));
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
