#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "core/base/json.hpp"
#include "core/verify/verify.hpp"

namespace halftone {

std::string verify_summary(const Verification&);
Json verify_json(const Verification&);

// Those that say the same together, the first ones if there are many; --json has all.
std::string findings_text(const std::vector<Finding>&);

// The errors of quantized tensors, for the report of a run, and from there: their relative squared errors.
// Exit::input if the file is no report of a run that read its output back.
Json errors_json(const Verification&);
std::map<std::string, double> recorded_errors(const std::filesystem::path& report);

}  // namespace halftone
