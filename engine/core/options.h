// A table of settings (a recipe, or one section of it). Reading a setting names its type, its default and its range in
// one place; what nobody read is an error that names the nearest known key. `resolved()` is the table with every
// default filled in.
#pragma once

#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace lookalike {

// Ranges that many settings share.
constexpr int64_t kAnySeed = std::numeric_limits<int64_t>::max();
constexpr double kLargeNumber =
    1e6;                           // and its inverse: as float they can be squared and divided by
constexpr size_t kMostItems = 64;  // of a list

class Options {
 public:
  // `where` begins every message: "recipe.toml: loss". Error unless `table` is a JSON object.
  Options(nlohmann::json table, std::string where);

  // Each has a range, both ends included, so that what is computed from it can't overflow; NaN is
  // in none.
  double number(const std::string& key, double fallback, double low, double high);
  int64_t integer(const std::string& key, int64_t fallback, int64_t low, int64_t high);
  bool flag(const std::string& key, bool fallback);
  // One of `values`; a wrong one is an Error that lists them and names the nearest.
  std::string choice(const std::string& key, const std::string& fallback, const std::vector<std::string>& values);
  std::string text(const std::string& key, const std::string& fallback);
  std::vector<std::string> texts(const std::string& key);  // none by default
  // Lists of at most kMostItems elements, each in the range.
  std::vector<int64_t> integers(const std::string& key, const std::vector<int64_t>& fallback,
                                int64_t low, int64_t high);
  std::vector<double> numbers(const std::string& key, const std::vector<double>& fallback,
                              double low, double high);
  // Whether the table has a value of that key.
  bool has(const std::string& key) const { return table_.contains(key); }
  // A section; empty where the table has none. Its keys are checked by its own finish().
  Options section(const std::string& key);
  void add_section(const std::string& key, const Options& read);

  // Error when the table holds a key that was never read.
  void finish() const;
  const nlohmann::json& resolved() const { return resolved_; }
  const std::string& where() const { return where_; }

 private:
  const nlohmann::json* find(const std::string& key);
  template <class T>
  T read(const std::string& key, const T& fallback, bool (nlohmann::json::*is)() const noexcept, const char* expected);
  template <class T, class Accepts>
  std::vector<T> list(const std::string& key, const std::vector<T>& fallback,
                      const Accepts& accepts, const std::string& expected, size_t most);
  [[noreturn]] void wrong(const std::string& key, const std::string& expected) const;

  nlohmann::json table_, resolved_ = nlohmann::json::object();
  std::string where_;
  std::vector<std::string> known_;
};

// Whether it is an integer from `low` to `high`. JSON has larger ones than an int64_t, which get()
// would wrap around.
bool is_integer_within(const nlohmann::json& value, int64_t low, int64_t high);
bool is_number_within(const nlohmann::json& value, double low, double high);

// How many characters to insert, remove or replace; of long words the first 200 count.
size_t edit_distance(const std::string& a, const std::string& b);

// The word of `words` with the smallest edit distance to `word`.
std::string nearest(const std::string& word, const std::vector<std::string>& words);
// ", did you mean 'WORD'?", or nothing where no word is near.
std::string suggestion(const std::string& word, const std::vector<std::string>& words);

// `text` as a string of JSON and TOML. Error that names `what` unless it is UTF-8.
std::string json_string(const std::string& text, const std::string& what);

// The text of a TOML file, which `where` names, as JSON; syntax errors are Errors with file and line. At most 1 MiB of text,
// 64 dots in a line and 16 levels, so that whatever recurses over settings ends.
nlohmann::json parse_toml(const std::string& text, const std::string& where);
// Sets the dotted `key` (loss.margin) of `table` to a value in TOML syntax; a bare word counts as a string.
void set_option(nlohmann::json& table, const std::string& assignment);
std::string to_toml(const nlohmann::json& table);

}  // namespace lookalike
