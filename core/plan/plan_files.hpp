#pragma once

#include <filesystem>
#include <vector>

#include "core/plan/plan.hpp"

namespace halftone {

// Every file that the plan was made from or that carrying it out reads, libraries aside: checkpoints with
// their indices, statistics, factors, the pipeline, what is known about loaders. None of them may be written
// to.
std::vector<std::filesystem::path> files_read(const Plan&);

// The output: its file, or its shards and their index.
std::vector<std::filesystem::path> output_files(const Plan&);

}  // namespace halftone
