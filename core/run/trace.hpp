#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/rounding/problem.hpp"

namespace halftone {

// Writes what happened in each iteration to `folder`/TENSOR.jsonl, one object a line. Characters of the name
// that files should not have are written as %41.
void write_trace(const std::filesystem::path& folder, const std::string& tensor,
                 const std::vector<TraceRow>&);

}  // namespace halftone
