#pragma once

#include "core/pipeline/pipeline.hpp"
#include "core/pipeline/section_values.hpp"

namespace halftone {

// The section [rounding]. Exit::usage for objectives and judges that make no sense.
Pipeline::Rounding read_rounding(const SectionValues&, const std::filesystem::path& folder);

// As it is written in a pipeline; a file with its path, or by its name alone.
std::string objective_text(const ObjectiveChoice&, bool path);
std::string judge_text(const Pipeline::Rounding&, bool paths);

}  // namespace halftone
