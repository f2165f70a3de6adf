#include "engine/data/csv.h"

#include "engine/core/error.h"
#include "engine/io/atomic_file.h"
#include "engine/io/input_file.h"

namespace lookalike {

std::vector<CsvRow> read_csv(const std::string& path) {
  const InputFile file(path);
  std::string text(file.size(), '\0');
  file.read(0, text.data(), file.size());
  check(text.find('\0') == text.npos, "{}: not text, expected a CSV file", path);

  std::vector<CsvRow> rows;
  size_t at = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  for (int64_t line = 1; at < text.size();) {
    CsvRow row{line, {}};
    for (bool more = true; more;) {
      std::string cell;
      if (text[at] == '"') {
        for (at++;; cell += text[at++]) {
          check(at < text.size(), "{}:{}: a quote is never closed", path, row.line);
          if (text[at] == '"' && text[++at] != '"') break;  // two quotes inside stand for one
          line += text[at] == '\n';
        }
      } else {
        while (at < text.size() && text[at] != ',' && text[at] != '\n') cell += text[at++];
        if (at == text.size() || text[at] == '\n') {
          if (cell.ends_with('\r')) cell.pop_back();
        }
        check(cell.find('"') == cell.npos, "{}:{}: a quote inside a cell that does not begin with one", path, line);
      }
      row.cells.push_back(std::move(cell));
      if (text[at] == '\r' && text[at + 1] == '\n') at++;
      more = at < text.size() && text[at] == ',';
      check(more || at == text.size() || text[at] == '\n', "{}:{}: text after a closing quote", path, line);
      if (at < text.size()) at++;
    }
    line++;
    if (row.cells.size() > 1 || !row.cells[0].empty()) rows.push_back(std::move(row));
  }
  return rows;
}

void write_csv(const std::string& path, const std::vector<std::vector<std::string>>& rows) {
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
  write_file_atomically(path, text);
}

}  // namespace lookalike
