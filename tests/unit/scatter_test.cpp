#include "engine/eval/scatter.h"

#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "engine/core/random.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

using doctest::Approx;

int64_t count_of(const std::string& text, const std::string& part) {
  int64_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) count++;
  return count;
}

TEST_CASE("the plane of the first two principal components") {
  // 5, 2 and 0.5 along three axes at right angles, turned and moved.
  const double axes[3][3] = {{0.6, 0.8, 0}, {-0.8, 0.6, 0}, {0, 0, 1}}, lengths[3] = {5, 2, 0.5};
  const int n = 400;
  Tensor rows({n, 3});
  rows.fill(0);
  std::vector<double> weights(3 * n);
  Random random(0, RandomUse::test);
  double sums[3] = {}, squares[3] = {};
  for (int i = 0; i < n; i++)
    for (int axis = 0; axis < 3; axis++) {
      weights[3 * i + axis] = lengths[axis] * random.normal();
      sums[axis] += weights[3 * i + axis], squares[axis] += weights[3 * i + axis] * weights[3 * i + axis];
      for (int j = 0; j < 3; j++)
        rows.data<float>()[3 * i + j] += static_cast<float>(weights[3 * i + axis] * axes[axis][j]) + 7;
    }
  const Plane plane = to_plane(rows);
  const float* points = plane.points.data<float>();
  const double total = 25 + 4 + 0.25;
  CHECK(plane.shares[0] == Approx(25 / total).epsilon(0.1));
  CHECK(plane.shares[1] == Approx(4 / total).epsilon(0.2));
  double mean[2] = {}, product = 0, square[2] = {};
  for (int i = 0; i < n; i++) {
    for (int c = 0; c < 2; c++)
      mean[c] += points[2 * i + c] / n, square[c] += points[2 * i + c] * points[2 * i + c] / n;
    product += points[2 * i] * points[2 * i + 1] / n;
    // The signs are free but for the largest weight of the axis, which is positive: 0.8 of the second coordinate, and
    // of the first.
    CHECK(std::abs(points[2 * i] - (weights[3 * i] - sums[0] / n)) < 1.5);
    CHECK(std::abs(points[2 * i + 1] + (weights[3 * i + 1] - sums[1] / n)) < 2.5);
  }
  CHECK(std::abs(mean[0]) < 1e-5);
  CHECK(std::abs(product) < 1e-3 * std::sqrt(square[0] * square[1]));
  CHECK(square[0] / (square[0] + square[1]) == Approx(plane.shares[0] / (plane.shares[0] + plane.shares[1])));

  const Tensor flat = Tensor::from<float>({2, 2}, std::vector<float>{1, 2, 3, 4});
  CHECK(to_plane(flat).points.data<float>() == flat.data<float>());
  const Plane line = to_plane(Tensor::from<float>({3, 1}, std::vector<float>{1, 2, 6}));
  CHECK(std::abs(line.points.data<float>()[0]) == Approx(2));
  CHECK(line.points.data<float>()[1] == 0);
  CHECK(line.shares[0] == Approx(1));
  Tensor constant({5, 4});
  constant.fill(3);
  CHECK(to_plane(constant).shares[0] == 0);
}

TEST_CASE("a scatter draws each point where it belongs and names the classes that it shows") {
  const Tensor rows = Tensor::from<float>({3, 2}, std::vector<float>{0, 0, 10, 0, 0, 5});
  const std::vector<int32_t> labels{0, 2, 2};
  const std::vector<std::string> classes{"a<b", "absent", "c&d"};
  const std::string svg = scatter_svg("title", rows, labels, classes, 0);
  CHECK(svg.starts_with("<svg "));
  CHECK(svg.ends_with("</svg>\n"));
  CHECK(count_of(svg, "<circle ") == 3 + 2);
  CHECK(svg.find("a&lt;b") != std::string::npos);
  CHECK(svg.find("c&amp;d") != std::string::npos);
  CHECK(svg.find("absent") == std::string::npos);
  CHECK(svg.find(">embedding value 1<") != std::string::npos);
  // 10.6 values on 560 pixels both ways, (5, 2.5) in the middle.
  CHECK(svg.find(R"(cx="95.8" cy="460.1")") != std::string::npos);
  CHECK(svg.find(R"(cx="624.2" cy="460.1")") != std::string::npos);
  CHECK(svg.find(R"(cx="95.8" cy="195.9")") != std::string::npos);

  Tensor many({kScatterPoints + 500, 3});
  Random random(0, RandomUse::test);
  for (float& value : many.span<float>()) value = random.normal();
  std::vector<int32_t> numbers(kScatterPoints + 500);
  std::vector<std::string> names;
  for (size_t i = 0; i < numbers.size(); i++) numbers[i] = static_cast<int32_t>(i % 40);
  for (int i = 0; i < 40; i++) names.push_back(fmt::format("{}/{}", std::string(30, 'x'), i));
  const std::string cut = scatter_svg("t", many, numbers, names, 0);
  CHECK(count_of(cut, "<circle ") + count_of(cut, "<rect ") + count_of(cut, "<path d=\"M") -
            count_of(cut, "stroke=\"#e4e4e4\"") ==
        kScatterPoints + 30 + 2);
  CHECK(cut.find("and 10 more") != std::string::npos);
  CHECK(cut.find("..." + std::string(24, 'x') + "/7<") != std::string::npos);
  CHECK(cut.find("principal component 2 (") != std::string::npos);
  CHECK(scatter_svg("t", many, numbers, names, 0) == cut);
  CHECK(scatter_svg("t", many, numbers, names, 1) != cut);

  many.fill(NAN);
  CHECK(error_of([&] { scatter_svg("t", many, numbers, names, 0); }).starts_with("the embeddings are not all finite"));
}

}  // namespace
}  // namespace lookalike
