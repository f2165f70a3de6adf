#include "engine/data/csv.h"

#include <algorithm>

#include "engine/core/error.h"
#include "engine/io/atomic_file.h"
#include "engine/io/input_file.h"

namespace lookalike {

namespace {

constexpr size_t kMaxCells = 1 << 20, kMaxProblems = 100'000;

}  // namespace

void report_problem(std::string message, std::vector<std::string>* problems) {
  if (problems == nullptr) throw Error(message);
  if (problems->size() < kMaxProblems)
    problems->push_back(std::move(message));
  else if (problems->size() == kMaxProblems)
    problems->push_back(fmt::format("more than {} problems, the rest is not listed", kMaxProblems));
}

CsvReader::CsvReader(const std::string& path, std::vector<std::string>* problems) : path_(path), text_(read_file(path)), problems_(problems) {
  check(text_.find('\0') == text_.npos, "{}: not text, expected a CSV file", path);
  at_ = text_.starts_with("\xEF\xBB\xBF") ? 3 : 0;
}

bool CsvReader::next(CsvRow& row) {
  while (at_ < text_.size()) {
    row = {line_, {}};
    bool good = true;
    const auto wrong = [&](int64_t where, const std::string& what) {
      report_problem(fmt::format("{}:{}: {}", path_, where, what), problems_);
      good = false;
      while (at_ < text_.size() && text_[at_] != '\n') at_++;
    };
    for (bool more = true; more;) {
      std::string cell;
      if (text_[at_] == '"') {
        for (at_++;; cell += text_[at_++]) {
          if (at_ == text_.size()) {
            wrong(row.line, "a quote is never closed");
            break;
          }
          if (text_[at_] == '"' && text_[++at_] != '"') break;  // two quotes inside stand for one
          line_ += text_[at_] == '\n';
        }
      } else {
        const size_t end = std::min(text_.find_first_of(",\n", at_), text_.size());
        cell = text_.substr(at_, end - at_);
        at_ = end;
        if ((at_ == text_.size() || text_[at_] == '\n') && cell.ends_with('\r')) cell.pop_back();
        if (cell.find('"') != cell.npos) wrong(line_, "a quote inside a cell that does not begin with one");
      }
      if (row.cells.size() == kMaxCells) wrong(line_, fmt::format("more than {} cells", kMaxCells));
      row.cells.push_back(std::move(cell));
      if (at_ < text_.size() && text_[at_] == '\r' && text_[at_ + 1] == '\n') at_++;
      more = at_ < text_.size() && text_[at_] == ',';
      if (!more && at_ < text_.size() && text_[at_] != '\n') wrong(line_, "text after a closing quote");
      if (at_ < text_.size()) at_++;
    }
    line_++;
    if (good && (row.cells.size() > 1 || !row.cells[0].empty())) return true;
  }
  return false;
}

std::vector<CsvRow> read_csv(const std::string& path, std::vector<std::string>* problems) {
  CsvReader reader(path, problems);
  std::vector<CsvRow> rows;
  for (CsvRow row; reader.next(row);) rows.push_back(std::move(row));
  return rows;
}

std::string csv_text(const std::vector<std::vector<std::string>>& rows) {
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); i++) {
      if (i > 0) text += ',';
      // What begins like a byte-order mark would be taken for one at the beginning of the file.
      const bool mark = text.empty() && row[i].starts_with("\xEF\xBB\xBF");
      if (!mark && row[i].find_first_of(",\"\r\n") == std::string::npos) {
        text += row[i];
        continue;
      }
      text += '"';
      for (const char c : row[i]) text += c == '"' ? std::string("\"\"") : std::string(1, c);
      text += '"';
    }
    text += '\n';
  }
  return text;
}

void write_csv(const std::string& path, const std::vector<std::vector<std::string>>& rows) {
  write_file_atomically(path, csv_text(rows));
}

}  // namespace lookalike
