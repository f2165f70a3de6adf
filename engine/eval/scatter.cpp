#include "engine/eval/scatter.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <vector>

#include "engine/core/error.h"
#include "engine/core/random.h"
#include "engine/eval/retrieval.h"

namespace lookalike {
namespace {

constexpr double kLeft = 80, kTop = 48, kPlotSide = 560, kLegend = 230;

// Colours that remain apart for colour-blind readers (Okabe and Ito 2008, and darker ones of the same hues), each with
// three shapes in turn.
constexpr const char* kColours[] = {"#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7",
                                    "#56B4E9", "#000000", "#B8A800", "#7A3E9D", "#8C564B"};
constexpr int kLegendLines = 30, kLegendCharacters = 26;

std::string mark(int32_t label, double x, double y) {
  const char* colour = kColours[label % std::ssize(kColours)];
  switch (label / std::ssize(kColours) % 3) {
    case 0:
      return fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="2.5" fill="{}"/>)", x, y, colour);
    case 1:
      return fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="4.5" height="4.5" fill="{}"/>)", x - 2.25, y - 2.25,
                         colour);
    default:
      return fmt::format(R"(<path d="M{:.1f} {:.1f}l3 5.5h-6z" fill="{}"/>)", x, y - 3.5, colour);
  }
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : printable(text)) {
    if (c == '<')
      result += "&lt;";
    else if (c == '&')
      result += "&amp;";
    else
      result += c;
  }
  return result;
}

// The end of a long name says most.
std::string shortened(const std::string& name) {
  size_t from = name.size() > kLegendCharacters ? name.size() - kLegendCharacters : 0;
  // Not within a character of UTF-8.
  while (from < name.size() && from > 0 && (name[from] & 0xC0) == 0x80) from++;
  return from > 0 ? "..." + name.substr(from) : name;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text, const std::string& more = "") {
  return fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="{}"{}>{}</text>)", x, y, anchor, more, escaped(text)) +
         '\n';
}

// 1, 2 or 5 times a power of ten: about six of them in `range`.
double tick_of(double range) {
  const double rough = range / 6, power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (rough <= factor * power) return factor * power;
  return 10 * power;
}

// Power iteration on the covariance of centred rows [n, d], which need not be stored; `before` is taken out.
std::vector<double> principal_axis(const Tensor& rows, const std::vector<double>& before) {
  const int64_t n = rows.shape()[0], d = rows.shape()[1];
  const float* x = rows.data<float>();
  std::vector<double> axis(d), next(d);
  Random random(0, RandomUse::weights);
  for (double& value : next) value = random.normal();
  const auto dot = [](const auto& a, const auto& b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); };
  for (int round = 0; round < 200; round++) {
    if (!before.empty()) {
      const double along = dot(next, before);
      for (int64_t j = 0; j < d; j++) next[j] -= along * before[j];
    }
    const double length = std::sqrt(dot(next, next));
    if (length == 0) return next;
    for (double& value : next) value /= length;
    std::swap(axis, next);
    if (std::abs(dot(axis, next)) > 1 - 1e-12) break;
    std::ranges::fill(next, 0);
    for (int64_t i = 0; i < n; i++) {
      const float* row = x + i * d;
      double along = 0;
      for (int64_t j = 0; j < d; j++) along += row[j] * axis[j];
      for (int64_t j = 0; j < d; j++) next[j] += along * row[j];
    }
  }
  const double largest = *std::ranges::max_element(axis, {}, [](double value) { return std::abs(value); });
  if (largest < 0)
    for (double& value : axis) value = -value;
  return axis;
}

}  // namespace

Plane to_plane(const Tensor& embeddings) {
  const int64_t n = embeddings.shape()[0], d = embeddings.shape()[1];
  if (d == 2) return {embeddings};
  const Tensor rows = minus_row(embeddings, mean_row(embeddings));
  const float* x = rows.data<float>();
  Plane plane{Tensor({n, 2})};
  double total = 0;
  for (const float value : rows.span<float>()) total += double{value} * value;
  std::vector<double> axis;
  for (int component = 0; component < 2; component++) {
    axis = principal_axis(rows, axis);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
      const double along = std::inner_product(axis.begin(), axis.end(), x + i * d, 0.0);
      plane.points.data<float>()[2 * i + component] = static_cast<float>(along);
      sum += along * along;
    }
    plane.shares[component] = total > 0 ? sum / total : 0;
  }
  return plane;
}

std::string scatter_svg(const std::string& title, const Tensor& embeddings, std::span<const int32_t> labels,
                        std::span<const std::string> classes, uint64_t seed) {
  check(std::ssize(labels) == embeddings.shape()[0], "{} labels for {} embeddings", labels.size(),
        embeddings.shape()[0]);
  std::vector<int64_t> chosen(labels.size());
  std::iota(chosen.begin(), chosen.end(), 0);
  Random(seed, RandomUse::shuffle).shuffle(std::span(chosen));
  chosen.resize(std::min<size_t>(chosen.size(), kScatterPoints));
  const auto count = std::ssize(chosen);
  const Plane plane = to_plane(rows_of(embeddings, chosen));
  const float* points = plane.points.data<float>();

  double low[2], high[2];
  for (int axis = 0; axis < 2; axis++) {
    low[axis] = high[axis] = points[axis];
    for (int64_t i = 0; i < count; i++) {
      low[axis] = std::min(low[axis], double{points[2 * i + axis]});
      high[axis] = std::max(high[axis], double{points[2 * i + axis]});
    }
    check(std::isfinite(low[axis]) && std::isfinite(high[axis]), "the embeddings are not all finite, nothing to draw");
  }
  double range = std::max(high[0] - low[0], high[1] - low[1]);
  if (!(range > 0)) range = 1;
  range *= 1.06;
  double origin[2];
  for (int axis = 0; axis < 2; axis++) origin[axis] = (low[axis] + high[axis] - range) / 2;
  const auto at_x = [&](double value) { return kLeft + (value - origin[0]) / range * kPlotSide; };
  const auto at_y = [&](double value) { return kTop + kPlotSide - (value - origin[1]) / range * kPlotSide; };

  std::string svg = fmt::format(
      R"(<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" viewBox="0 0 {0} {1}" font-family="sans-serif" font-size="13" fill="#222">
<rect width="100%" height="100%" fill="#fff"/>
)",
      kLeft + kPlotSide + kLegend, kTop + kPlotSide + 56);
  svg += text_at(kLeft, 28, "start", title, R"( font-size="16")");
  const double tick = tick_of(range);
  for (int axis = 0; axis < 2; axis++) {
    for (double step = std::ceil(origin[axis] / tick); step * tick <= origin[axis] + range; step++) {
      // -0 is 0.
      const std::string number = fmt::format("{:g}", step == 0 ? 0.0 : step * tick);
      const double at = axis == 0 ? at_x(step * tick) : at_y(step * tick);
      svg += axis == 0 ? fmt::format(R"(<path d="M{:.1f} {}v{}" stroke="#e4e4e4"/>)", at, kTop, kPlotSide)
                       : fmt::format(R"(<path d="M{} {:.1f}h{}" stroke="#e4e4e4"/>)", kLeft, at, kPlotSide);
      svg +=
          axis == 0 ? text_at(at, kTop + kPlotSide + 18, "middle", number) : text_at(kLeft - 8, at + 4, "end", number);
    }
  }
  svg += fmt::format(R"(<rect x="{}" y="{}" width="{}" height="{}" fill="none" stroke="#888"/>)", kLeft, kTop,
                     kPlotSide, kPlotSide);
  const auto axis_name = [&](int axis) {
    if (embeddings.shape()[1] == 2) return fmt::format("embedding value {}", axis + 1);
    return fmt::format("principal component {} ({:.1f} % of the variance)", axis + 1, 100 * plane.shares[axis]);
  };
  svg += text_at(kLeft + kPlotSide / 2, kTop + kPlotSide + 42, "middle", axis_name(0));
  svg += text_at(24, kTop + kPlotSide / 2, "middle", axis_name(1),
                 fmt::format(R"x( transform="rotate(-90 24 {})")x", kTop + kPlotSide / 2));

  svg += "<g fill-opacity=\"0.75\">\n";
  std::vector<bool> shown(classes.size());
  for (int64_t i = 0; i < count; i++) {
    const int32_t label = labels[chosen[i]];
    shown[label] = true;
    svg += mark(label, at_x(points[2 * i]), at_y(points[2 * i + 1])) + '\n';
  }
  svg += "</g>\n";
  int lines = 0;
  for (int32_t label = 0; label < std::ssize(classes); label++) {
    if (!shown[label] || lines++ >= kLegendLines) continue;
    const double y = kTop - 10 + 18 * lines;
    svg += mark(label, kLeft + kPlotSide + 20, y - 4) +
           text_at(kLeft + kPlotSide + 32, y, "start", shortened(classes[label]));
  }
  if (lines > kLegendLines)
    svg += text_at(kLeft + kPlotSide + 32, kTop + 8 + 18 * kLegendLines, "start",
                   fmt::format("and {} more", lines - kLegendLines));
  return svg + "</svg>\n";
}

}  // namespace lookalike
