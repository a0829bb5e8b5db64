#pragma once

#include "core/cli/command.hpp"
#include "core/report/progress_display.hpp"

namespace halftone::cli {

// Shows the progress of a piece of work for as long as the result lives, in the way that fits where messages
// go.
ProgressDisplay show_progress(Context&, const Progress&, bool wanted);

}  // namespace halftone::cli
