// Results as programs read them (docs/json.md), and what commands that search have in common.
#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "engine/eval/calibration.h"
#include "engine/nn/network.h"

namespace lookalike {

// All results have it; a change that could break a reader makes it a greater one.
constexpr int kJsonSchema = 1;

// {"schema": 1, "result": `what`}, to which members are added.
nlohmann::ordered_json result_json(const char* what);
// On standard output, over several lines or on one. Bytes of names that are not UTF-8 are replaced.
void print_json(const nlohmann::ordered_json& json);
void print_json_line(const nlohmann::ordered_json& json);

// --json of the commands that print their result.
void add_json_flag(CLI::App& command, bool& json);
// --above of those that leave out what is too different.
CLI::Option* add_above_option(CLI::App& command, std::string& above);

// The score that `above` asks for: a number, or with "auto" the threshold that calibration stored.
// Error where there is none, which names `where`, or where no such score can be.
double threshold_of(const std::string& above, const std::optional<Calibration>& calibration,
                    Similarity similarity, const std::string& where);

}  // namespace lookalike
