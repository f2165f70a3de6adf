// Comma-separated text (RFC 4180): quoted cells, CRLF and a byte-order mark are understood, empty lines skipped.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lookalike {

struct CsvRow {
  int64_t line;  // where it begins, from 1
  std::vector<std::string> cells;
};

// Error with file and line on a stray or open quote, or on bytes that are no text. Given a list, what is wrong with a row is added to it, and the row
// left out.
std::vector<CsvRow> read_csv(const std::string& path, std::vector<std::string>* problems = nullptr);
// Throws an Error of that message, or, given a list, adds it.
void report_problem(std::string message, std::vector<std::string>* problems);

std::string csv_text(const std::vector<std::vector<std::string>>& rows);
// The file appears whole or not at all.
void write_csv(const std::string& path, const std::vector<std::vector<std::string>>& rows);

}  // namespace lookalike
