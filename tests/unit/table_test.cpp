// Tables for people: 80 columns, whatever is in them.
#include "engine/eval/table.h"

#include <algorithm>
#include <sstream>

#include <doctest/doctest.h>

#include "engine/core/output.h"

namespace lookalike {
namespace {

size_t widest(const std::string& text) {
  std::istringstream lines(text);
  size_t width = 0;
  for (std::string line; std::getline(lines, line);)
    width = std::max<size_t>(width, std::ranges::count_if(line, [](char c) { return (c & 0xC0) != 0x80; }));
  return width;
}

TEST_CASE("a table stays within 80 columns, and says all of its figures") {
  const Estimate share{0.672, 0.602, 0.739, 24}, whole{1, 1, 1, 24}, exact{0.05, 0.05, 0.05, 0};
  CHECK(cell(share, 100, 1) == "67.2\n[60.2, 73.9]");
  CHECK(cell(whole, 100, 1) == "100.0\n[100, 100]");
  CHECK(cell(whole, 1, 3) == "1.000\n[1.000, 1.000]");
  CHECK(cell(exact, 100, 1) == "5.0");
  CHECK(align({{"", "top-1 %"}, {"chance", cell(exact, 100, 1)}, {"raw pixels", cell(share, 100, 1)}}) ==
        "                 top-1 %\n"
        "chance               5.0\n"
        "raw pixels          67.2\n"
        "            [60.2, 73.9]\n");
  for (size_t columns = 1; columns <= 12; columns++) {
    std::vector<std::vector<std::string>> rows{{""}, {"chance"}, {"/some/where/far/äöü/from/here/model.safetensors"}};
    for (size_t i = 0; i < columns; i++) {
      rows[0].push_back("top-" + std::to_string(i) + " %");
      rows[1].push_back(cell(exact, 100, 1));
      rows[2].push_back(cell(share, 100, 1));
    }
    const std::string table = align(rows);
    CAPTURE(table);
    CHECK(widest(table) <= 80);
    CHECK(table.find("model.safetensors") != std::string::npos);
    for (const std::string& heading : rows[0]) CHECK(table.find(heading) != std::string::npos);
  }
  // With four columns a long path is broken, and the front of it left out.
  std::vector<std::vector<std::string>> rows{{"", "a", "b", "c", "d"}};
  rows.push_back({"/some/where/far/from/here/model.safetensors"});
  for (int i = 0; i < 4; i++) rows[1].push_back(cell(share, 100, 1));
  CHECK(align(rows).find("\n…me/where/far/from/here/") != std::string::npos);
}

TEST_CASE("the best row stands out, with all of its lines") {
  const Estimate share{0.672, 0.602, 0.739, 24}, less{0.5, 0.4, 0.6, 24};
  const std::vector<std::vector<std::string>> rows{
      {"", "a"}, {"x\x01", cell(less, 100, 1)}, {"y", cell(share, 100, 1)}};
  const std::string plain = align(rows), marked = align(rows, 2);
  CHECK(plain.find_first_of("\x01\x02") == std::string::npos);
  CHECK(marked.find("\x01y ") != std::string::npos);
  CHECK(std::ranges::count(marked, kBold) == 2);
  CHECK(styled(marked, false) == plain);
  CHECK(best_row(std::vector{0.5, 0.7, 0.7, 0.9}, {true, true, true, false}) == 2);
  CHECK(best_row(std::vector{0.5, 0.7}, {false, true}) == -1);
}

}  // namespace
}  // namespace lookalike
