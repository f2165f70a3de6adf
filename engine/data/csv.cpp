#include "engine/data/csv.h"

#include "engine/core/error.h"
#include "engine/io/atomic_file.h"
#include "engine/io/input_file.h"

namespace lookalike {

void report_problem(std::string message, std::vector<std::string>* problems) {
  if (problems == nullptr) throw Error(message);
  problems->push_back(std::move(message));
}

std::vector<CsvRow> read_csv(const std::string& path, std::vector<std::string>* problems) {
  const std::string text = read_file(path);
  check(text.find('\0') == text.npos, "{}: not text, expected a CSV file", path);

  std::vector<CsvRow> rows;
  size_t at = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  for (int64_t line = 1; at < text.size();) {
    CsvRow row{line, {}};
    bool good = true;
    const auto wrong = [&](int64_t where, const char* what) {
      report_problem(fmt::format("{}:{}: {}", path, where, what), problems);
      good = false;
      while (at < text.size() && text[at] != '\n') at++;
    };
    for (bool more = true; more;) {
      std::string cell;
      if (text[at] == '"') {
        for (at++;; cell += text[at++]) {
          if (at == text.size()) {
            wrong(row.line, "a quote is never closed");
            break;
          }
          if (text[at] == '"' && text[++at] != '"') break;  // two quotes inside stand for one
          line += text[at] == '\n';
        }
      } else {
        while (at < text.size() && text[at] != ',' && text[at] != '\n') cell += text[at++];
        if (at == text.size() || text[at] == '\n') {
          if (cell.ends_with('\r')) cell.pop_back();
        }
        if (cell.find('"') != cell.npos) wrong(line, "a quote inside a cell that does not begin with one");
      }
      row.cells.push_back(std::move(cell));
      if (at < text.size() && text[at] == '\r' && text[at + 1] == '\n') at++;
      more = at < text.size() && text[at] == ',';
      if (!more && at < text.size() && text[at] != '\n') wrong(line, "text after a closing quote");
      if (at < text.size()) at++;
    }
    line++;
    if (good && (row.cells.size() > 1 || !row.cells[0].empty())) rows.push_back(std::move(row));
  }
  return rows;
}

std::string csv_text(const std::vector<std::vector<std::string>>& rows) {
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); i++) {
      if (i > 0) text += ',';
      if (row[i].find_first_of(",\"\r\n") == std::string::npos) {
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
