#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/rounding/problem.hpp"

namespace halftone {

// `folder`/TENSOR.jsonl. Characters of the name that files should not have are written as %41.
std::filesystem::path trace_path(const std::filesystem::path& folder, const std::string& tensor);

bool is_trace(const std::filesystem::path&);  // as far as its beginning tells

// Writes what happened in each iteration to the tensor's file, one object a line.
void write_trace(const std::filesystem::path& folder, const std::string& tensor,
                 const std::vector<TraceRow>&);

}  // namespace halftone
