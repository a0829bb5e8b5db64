#pragma once

#include "core/cli/arguments.hpp"
#include "core/pipeline/pipeline.hpp"

namespace halftone::cli {

// What `run` and `plan` share: the pipeline and everything on the command line that changes it.
void add_pipeline_arguments(Arguments&);
Pipeline pipeline_from(const Arguments&);

}  // namespace halftone::cli
