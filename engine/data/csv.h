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

// Throws an Error of that message, or, given a list, adds it; a list of 100,000 says that there are
// more, and grows no more.
void report_problem(std::string message, std::vector<std::string>* problems);

// The rows of a file, one after the other: kept, the cells of a hostile one take 32 times its size.
class CsvReader {
 public:
  // Error where the file can't be read or its bytes are no text.
  CsvReader(const std::string& path, std::vector<std::string>* problems);
  // False at the end. Error with file and line on a stray or open quote, or on more than 2^20 cells
  // in a row. Given a list of problems, what is wrong with a row is added to it, and the row left
  // out.
  bool next(CsvRow& row);

 private:
  std::string path_, text_;
  std::vector<std::string>* problems_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

// All rows at once, of a file that this program wrote.
std::vector<CsvRow> read_csv(const std::string& path, std::vector<std::string>* problems = nullptr);

std::string csv_text(const std::vector<std::vector<std::string>>& rows);
// The file appears whole or not at all.
void write_csv(const std::string& path, const std::vector<std::vector<std::string>>& rows);

}  // namespace lookalike
