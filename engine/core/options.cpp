#include "engine/core/options.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <sstream>

#include <toml++/toml.h>

#include "engine/core/error.h"

namespace lookalike {

using nlohmann::json;

namespace {

constexpr size_t kMaxTomlBytes = 1 << 20;
constexpr int kMaxTomlDepth = 16;
// toml++ limits how deep values are nested, but not the tables that one dotted key makes, and its
// destructor recurses.
constexpr int64_t kMaxDots = 64;
// The edit distance takes the product of two lengths; keys and names of people are shorter.
constexpr size_t kMaxCompared = 200;

json to_json(const toml::node& node, int depth = 0) {
  check(depth <= kMaxTomlDepth, "settings are nested more than {} levels deep", kMaxTomlDepth);
  if (const auto* table = node.as_table()) {
    json result = json::object();
    for (const auto& [key, value] : *table) result[std::string(key.str())] = to_json(value, depth + 1);
    return result;
  }
  if (const auto* array = node.as_array()) {
    json result = json::array();
    for (const auto& value : *array) result.push_back(to_json(value, depth + 1));
    return result;
  }
  if (auto value = node.value_exact<bool>()) return *value;
  if (auto value = node.value_exact<int64_t>()) return *value;
  if (auto value = node.value_exact<double>()) return *value;
  if (auto value = node.value_exact<std::string>()) return *value;
  fail("dates and times are not settings");
}

// A key does not pass the end of its line, so counting the dots of lines bounds those of keys. A
// line that begins as a comment holds no key, be it inside a string.
void check_dots(const std::string& text) {
  std::istringstream lines(text);
  lines.exceptions(std::ios::badbit);
  int64_t number = 1;
  for (std::string line; std::getline(lines, line); number++) {
    const size_t begin = line.find_first_not_of(" \t");
    check(std::ranges::count(line, '.') <= kMaxDots || line[begin] == '#',
          "line {}: more than {} dots, expected keys of a few parts", number, kMaxDots);
  }
}

// Errors of syntax as toml++ throws them.
json parse_settings(const std::string& text) {
  check(text.size() <= kMaxTomlBytes, "expected at most {} bytes of settings", kMaxTomlBytes);
  check_dots(text);
  return to_json(toml::parse(text));
}

std::string toml_value(const json& value);

std::string toml_key(const std::string& key) {
  const bool bare = !key.empty() && std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
  return bare ? key : toml_value(key);
}

// On one line.
std::string toml_value(const json& value) {
  if (value.is_object() || value.is_array()) {
    std::string items;
    for (const auto& [key, item] : value.items())
      items += (items.empty() ? "" : ", ") + (value.is_object() ? toml_key(key) + " = " : "") + toml_value(item);
    return value.is_object() ? "{" + items + "}" : "[" + items + "]";
  }
  if (value.is_number_float()) {
    const std::string digits = fmt::format("{}", value.get<double>());
    return digits + (digits.find_first_of(".en") == std::string::npos ? ".0" : "");
  }
  std::string text = value.dump();  // whose strings are TOML's but for one character
  for (size_t at = 0; (at = text.find('\x7F', at)) != std::string::npos;) text.replace(at, 1, "\\u007F");
  return text;
}

void write_toml(const json& table, const std::string& name, std::string& text) {
  for (const auto& [key, value] : table.items())
    if (!value.is_object()) text += fmt::format("{} = {}\n", toml_key(key), toml_value(value));
  for (const auto& [key, value] : table.items()) {
    if (!value.is_object()) continue;
    const std::string inner = (name.empty() ? "" : name + ".") + toml_key(key);
    text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", inner);
    write_toml(value, inner, text);
  }
}

}  // namespace

bool is_integer_within(const json& value, int64_t low, int64_t high) {
  if (value.is_number_unsigned() &&
      value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    return false;
  return value.is_number_integer() && value.get<int64_t>() >= low && value.get<int64_t>() <= high;
}

bool is_number_within(const json& value, double low, double high) {
  return value.is_number() && value.get<double>() >= low && value.get<double>() <= high;
}

size_t edit_distance(const std::string& whole_a, const std::string& whole_b) {
  const std::string a = whole_a.substr(0, kMaxCompared), b = whole_b.substr(0, kMaxCompared);
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); j++) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string nearest(const std::string& word, const std::vector<std::string>& words) {
  check(!words.empty(), "'{}' is unknown", word);
  return *std::min_element(words.begin(), words.end(), [&](const auto& a, const auto& b) {
    return edit_distance(word, a) < edit_distance(word, b);
  });
}

std::string suggestion(const std::string& word, const std::vector<std::string>& words) {
  const std::string best = nearest(word, words);
  return 2 * edit_distance(word, best) <= best.size() ? fmt::format(", did you mean '{}'?", best) : "";
}

Options::Options(json table, std::string where) : table_(std::move(table)), where_(std::move(where)) {
  check(table_.is_object(), "{}: expected a table of settings", where_);
}

const json* Options::find(const std::string& key) {
  known_.push_back(key);
  const auto it = table_.find(key);
  return it == table_.end() ? nullptr : &*it;
}

void Options::wrong(const std::string& key, const std::string& expected) const {
  constexpr size_t kMost = 80;  // characters of a value, lest what was expected be cut off
  const json& value = table_.at(key);
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (value.is_number_float() && !std::isfinite(value.get<double>()))
    text = fmt::format("{}", value.get<double>());
  if (text.size() > kMost) text = text.substr(0, kMost) + "...";
  fail("{}: {} = {}, expected {}", where_, key, text, expected);
}

template <class T>
T Options::read(const std::string& key, const T& fallback, bool (json::*is)() const noexcept, const char* expected) {
  const json* value = find(key);
  if (value && !(value->*is)()) wrong(key, expected);
  T result = value ? value->get<T>() : fallback;
  resolved_[key] = result;
  return result;
}

double Options::number(const std::string& key, double fallback, double low, double high) {
  const double value = read<double>(key, fallback, &json::is_number, "a number");
  if (!is_number_within(value, low, high))
    wrong(key, fmt::format("a number from {} to {}", low, high));
  return value;
}

int64_t Options::integer(const std::string& key, int64_t fallback, int64_t low, int64_t high) {
  const std::string expected = fmt::format("an integer from {} to {}", low, high);
  if (const auto given = table_.find(key);
      given != table_.end() && !is_integer_within(*given, low, high))
    wrong(key, expected);
  return read<int64_t>(key, fallback, &json::is_number_integer, expected.c_str());
}

bool Options::flag(const std::string& key, bool fallback) {
  return read<bool>(key, fallback, &json::is_boolean, "true or false");
}

std::string Options::choice(const std::string& key, const std::string& fallback,
                            const std::vector<std::string>& values) {
  const auto value = read<std::string>(key, fallback, &json::is_string, "a string");
  if (std::find(values.begin(), values.end(), value) == values.end()) {
    fail("{}: {} = '{}' is unknown, did you mean '{}'? It is one of: {}", where_, key, value, nearest(value, values),
         fmt::join(values, ", "));
  }
  return value;
}

std::string Options::text(const std::string& key, const std::string& fallback) {
  return read<std::string>(key, fallback, &json::is_string, "a string");
}

template <class T, class Accepts>
std::vector<T> Options::list(const std::string& key, const std::vector<T>& fallback,
                             const Accepts& accepts, const std::string& expected, size_t most) {
  if (const json* value = find(key); value && (!value->is_array() || value->size() > most))
    wrong(key, expected);
  const json values = table_.value(key, json(fallback));
  for (const json& value : values) {
    if (!accepts(value)) wrong(key, expected);
  }
  resolved_[key] = values;
  return values.get<std::vector<T>>();
}

std::vector<std::string> Options::texts(const std::string& key) {
  return list<std::string>(
      key, {}, [](const json& value) { return value.is_string(); }, "a list of strings",
      std::numeric_limits<size_t>::max());
}

std::vector<int64_t> Options::integers(const std::string& key, const std::vector<int64_t>& fallback,
                                       int64_t low, int64_t high) {
  return list<int64_t>(
      key, fallback, [=](const json& value) { return is_integer_within(value, low, high); },
      fmt::format("a list of at most {} integers from {} to {}", kMostItems, low, high),
      kMostItems);
}

std::vector<double> Options::numbers(const std::string& key, const std::vector<double>& fallback,
                                     double low, double high) {
  return list<double>(
      key, fallback, [=](const json& value) { return is_number_within(value, low, high); },
      fmt::format("a list of at most {} numbers from {} to {}", kMostItems, low, high), kMostItems);
}

Options Options::section(const std::string& key) {
  const json* value = find(key);
  return Options(value ? *value : json::object(), where_ + ": " + key);
}

void Options::add_section(const std::string& key, const Options& read) {
  read.finish();
  resolved_[key] = read.resolved();
}

void Options::finish() const {
  for (const auto& [key, value] : table_.items()) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    if (known_.empty()) fail("{}: unknown key '{}', none is expected here", where_, key);
    fail("{}: unknown key '{}', did you mean '{}'?", where_, key, nearest(key, known_));
  }
}

json parse_toml(const std::string& text, const std::string& where) {
  try {
    return parse_settings(text);
  } catch (const toml::parse_error& error) {
    fail("{}: line {}: {}", where, error.source().begin.line, error.description());
  } catch (const Error& error) {
    fail("{}: {}", where, error.what());
  }
}

void set_option(json& table, const std::string& assignment) {
  const size_t equals = assignment.find('=');
  check(equals != std::string::npos && equals > 0, "--set {}: expected section.key=value, as in --set train.epochs=5",
        assignment);
  const std::string key = assignment.substr(0, equals), text = assignment.substr(equals + 1);
  json value;
  json_string(text, fmt::format("--set {}", assignment));
  try {
    const json settings = parse_settings("value = " + text);
    check(settings.size() == 1, "expected one value");
    value = settings["value"];
  } catch (const toml::parse_error&) {
    value = text;
  } catch (const Error& error) {
    fail("--set {}: {}", assignment, error.what());
  }
  check(std::ranges::count(key, '.') < kMaxTomlDepth, "--set {}: expected section.key=value, a key of a few parts",
        assignment);
  json* at = &table;
  std::istringstream parts(key);
  parts.exceptions(std::ios::badbit);  // streams keep quiet on a lack of memory
  for (std::string part; std::getline(parts, part, '.');) {
    check(at->is_object() || at->is_null(), "--set {}: '{}' is not a section", assignment, part);
    check(!part.empty(), "--set {}: expected section.key=value, as in --set train.epochs=5", assignment);
    at = &(*at)[part];
  }
  check(!at->is_object(), "--set {}: '{}' is a section, expected a key inside it", assignment, key);
  *at = value;
}

std::string json_string(const std::string& text, const std::string& what) {
  try {
    return json(text).dump();
  } catch (const json::type_error&) {
    fail("{}: is not UTF-8, which a model keeps its recipe in", what);
  }
}

std::string to_toml(const json& table) {
  std::string text;
  write_toml(table, "", text);
  return text;
}

}  // namespace lookalike
