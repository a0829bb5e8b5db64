#include "core/cli/command.hpp"

#include <ostream>

#include "core/cli/arguments.hpp"

namespace halftone::cli {

Command make_command(const CommandText& text, std::function<void(Arguments&)> declare,
                     std::function<int(Context&, const Arguments&)> body) {
    const auto declared = [text, declare = std::move(declare)] {
        auto arguments = std::make_unique<Arguments>(text.synopsis, text.about);
        declare(*arguments);
        return arguments;
    };
    return {text.name, text.summary, declared()->usage(),
            [declared, body = std::move(body)](Context& context, const std::vector<std::string>& given) {
                const auto arguments = declared();
                if (!arguments->parse(given)) {
                    context.out << arguments->usage();
                    return 0;
                }
                return body(context, *arguments);
            }};
}

}  // namespace halftone::cli
