// The headers of others that most files read, compiled once for each library (CMake's target_precompile_headers). No file
// includes this one: each includes what it uses.
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

// Compiled in json_text.cpp alone.
extern template class nlohmann::basic_json<>;
