#include "core/cli/progress.hpp"

#include "core/base/os/process.hpp"

namespace halftone::cli {

ProgressDisplay show_progress(Context& context, const Progress& progress, bool wanted) {
    using Style = ProgressDisplay::Style;
    constexpr int standard_error = 2;
    Style style = Style::plain;
    if (!wanted || context.log.settings().least > Level::info)
        style = Style::none;
    else if (context.log.settings().style == Log::Style::json)
        style = Style::json;
    else if (os::is_terminal(standard_error))
        style = Style::line;
    return {context.log, progress, style, os::terminal_width(standard_error)};
}

}  // namespace halftone::cli
