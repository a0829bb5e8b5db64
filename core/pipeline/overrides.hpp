#pragma once

#include <string>
#include <vector>

#include "core/pipeline/document.hpp"
#include "core/pipeline/pipeline.hpp"

namespace halftone {

// Puts the values of the command line into the document, in order. Where one names another format, the
// options that the file gives beside the old one are taken out, with a warning. Exit::usage for keys that the
// schema does not have; the values are checked later, with the file's own.
void apply_overrides(Node& document, const std::vector<Override>&, std::vector<std::string>& warnings);

}  // namespace halftone
