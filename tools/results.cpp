#include "tools/results.h"

#include <charconv>
#include <cmath>

#include "engine/core/error.h"
#include "engine/core/output.h"

namespace lookalike {

namespace {

// Within strings of JSON control characters and those that reorder text are escapes of its own: what
// is printed may go to a terminal.
std::string text_of_json(const nlohmann::ordered_json& json, int indent) {
  const std::string text =
      json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return printable(text, true) == text
             ? text
             : json.dump(indent, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

nlohmann::ordered_json result_json(const char* what) {
  return {{"schema", kJsonSchema}, {"result", what}};
}

void print_json(const nlohmann::ordered_json& json) {
  print_text(text_of_json(json, 2) + '\n');
}

void print_json_line(const nlohmann::ordered_json& json) {
  print_one(text_of_json(json, -1));
}

void add_json_flag(CLI::App& command, bool& json) {
  command.add_flag("--json", json, "Print the result as JSON");
}

CLI::Option* add_above_option(CLI::App& command, std::string& above) {
  return command
      .add_option("--above", above,
                  "Only what scores at least this: a number, or auto for the model's threshold")
      ->type_name("SCORE");
}

double threshold_of(const std::string& above, const std::optional<Calibration>& calibration,
                    Similarity similarity, const std::string& where) {
  if (above == "auto") {
    check(calibration.has_value(),
          "--above auto: {} has no threshold; `lookalike calibrate MODEL --data DIR` stores one in "
          "a model, and so in an index that is built after it; or give a number",
          where);
    return calibration->threshold.score;
  }
  double value = 0;
  const auto [end, error] = std::from_chars(above.data(), above.data() + above.size(), value);
  const bool cosine = similarity == Similarity::cosine;
  check(error == std::errc() && end == above.data() + above.size() && std::isfinite(value) &&
            (cosine ? std::abs(value) <= 1 : value <= 0),
        "--above is '{}', expected auto or a {}", above,
        cosine ? "cosine, from -1 to 1" : "negative distance, 0 or less");
  return value;
}

}  // namespace lookalike
