// Other programs that this one has work done by.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace lookalike {

// Runs a program found in PATH to its end, with what it says going to the file `said` (/dev/null);
// true when it ended with status 0. With `most_seconds` it is ended once it has taken so much
// processor time. Where it is not installed, an Error that `missing` words; SystemError when it
// cannot be started now.
bool run_program(std::vector<std::string> arguments, const std::string& said,
                 const std::string& missing, std::optional<int> most_seconds = {});

}  // namespace lookalike
