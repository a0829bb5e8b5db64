#include "core/pipeline/syntax.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/base/utf8.hpp"

namespace halftone {
namespace {

constexpr size_t deepest_value = 32, longest_key = 16;

// Walks over TOML without understanding more of it than where texts and comments end.
class DepthCheck {
  public:
    DepthCheck(std::string_view toml, const std::string& name) : rest_(toml), name_(name) {}

    void run() {
        while (!rest_.empty()) {
            const char c = rest_.front();
            if (c == '#') {
                skip(rest_.find('\n'));
            } else if (c == '"' || c == '\'') {
                skip_text(c);
            } else {
                count(c);
                skip(1);
            }
        }
    }

  private:
    void count(char c) {
        if (c == '.' && ++dots_ > longest_key) refuse("this key has too many parts");
        if (c == '[' || c == '{') ++depth_;
        if ((c == ']' || c == '}') && depth_ > 0) --depth_;
        if (depth_ > deepest_value) refuse("lists and tables are nested too deep");
        if (c == '\n' || c == ',' || c == '=' || c == '[' || c == '{') dots_ = 0;
    }

    void skip_text(char quote) {
        const std::string once(1, quote), thrice(3, quote);
        const bool many_lines = rest_.starts_with(thrice);
        const std::string& end = many_lines ? thrice : once;
        skip(end.size());
        while (!rest_.empty() && !rest_.starts_with(end)) {
            if (!many_lines && rest_.front() == '\n') return;  // not closed: the parser will say so
            skip(quote == '"' && rest_.front() == '\\' ? 2 : 1);
        }
        skip(end.size());
    }

    void skip(size_t bytes) {
        bytes = std::min(bytes, rest_.size());
        for (size_t i = 0; i < bytes; ++i) {
            const bool continues_character = (static_cast<unsigned char>(rest_[i]) & 0xC0) == 0x80;
            if (rest_[i] == '\n') {
                ++line_;
                column_ = 1;
            } else if (!continues_character) {
                ++column_;
            }
        }
        rest_.remove_prefix(bytes);
    }

    [[noreturn]] void refuse(const char* why) const {
        fail(Exit::usage, fmt::format("{}:{}:{}", name_, line_, column_), "{}", why);
    }

    std::string_view rest_;
    const std::string& name_;
    size_t depth_ = 0, dots_ = 0, line_ = 1, column_ = 1;
};

void check_encoding(std::string_view toml, const std::string& name) {
    size_t line = 1, column = 1;
    for (std::string_view rest = toml; !rest.empty();) {
        const Utf8Step step = utf8_step(rest);
        if (!step.valid)
            throw Error(Exit::usage, fmt::format("{}:{}:{}", name, line, column),
                        fmt::format("the byte 0x{:02x} is not UTF-8 text",
                                    static_cast<unsigned>(static_cast<unsigned char>(rest.front()))),
                        "a pipeline is a TOML text file, saved as UTF-8");
        rest.remove_prefix(step.bytes);
        column = step.character == U'\n' ? 1 : column + 1;
        line += step.character == U'\n';
    }
}

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blank = " \t\r";
    const size_t first = text.find_first_not_of(blank);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

// `key = value # comment` on one line, the value not in quotes or brackets.
struct BareAssignment {
    std::string_view key, value;
    size_t column;  // of the value
};

std::optional<BareAssignment> bare_assignment(std::string_view line) {
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view key = trimmed(line.substr(0, equals));
    std::string_view value = line.substr(equals + 1);
    value = trimmed(value.substr(0, value.find('#')));
    if (key.empty() || value.empty() || value.find_first_of("\"'[]{},=") != std::string_view::npos)
        return std::nullopt;
    // In characters, as the parser counts.
    const std::string_view before = line.substr(0, static_cast<size_t>(value.data() - line.data()));
    const auto characters =
        std::ranges::count_if(before, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
    return BareAssignment{key, value, static_cast<size_t>(characters) + 1};
}

std::optional<SyntaxProblem> explain_bare_value(const BareAssignment& written) {
    const std::string value = text::printable(written.value, 60);
    std::string lower(written.value);
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    const auto is_one_of = [&](auto... words) { return ((lower == words) || ...); };
    const auto problem = [&](std::string what, std::string advice) {
        return SyntaxProblem{std::move(what), std::move(advice), written.column};
    };
    if (is_one_of("true", "yes", "on"))
        return problem(fmt::format("'{}' is no TOML value", value), "write true, in lower case");
    if (is_one_of("false", "no", "off"))
        return problem(fmt::format("'{}' is no TOML value", value), "write false, in lower case");
    if (is_one_of("null", "nil", "undefined"))
        return problem(fmt::format("'{}' is no TOML value", value), "leave the key out to get its default");
    if (written.value == "None")
        return problem("'None' is no TOML value", "write \"none\" in quotes, or leave the key out");
    const bool word = is_letter(written.value.front()) ||
                      std::string_view("/~.*_^\\$").find(written.value.front()) != std::string_view::npos;
    const bool number_like =
        written.value.front() == '.' && written.value.size() > 1 && is_digit(written.value[1]);
    const bool size = is_digit(written.value.front()) && is_letter(written.value.back()) &&
                      text::parse_bytes(written.value).has_value();
    if ((word && !number_like) || size)
        return problem(
            fmt::format("text must be in quotes: {} = \"{}\"", text::printable(written.key, 60), value), {});
    return std::nullopt;
}

struct Explanation {
    std::string_view fragment;  // of the library's description
    std::string_view what, advice;
};

constexpr std::array<Explanation, 12> explanations = {{
    {"unknown escape sequence", "a backslash in \"...\" starts an escape",
     "write 'C:\\models' in single quotes, or double every backslash"},
    {"unescaped control characters",
     "this text has no closing quote on its line, or holds a control character",
     {}},
    {"expected '=', saw ':'", "expected '=' after the key, not ':'", "TOML writes key = value"},
    {"expected '=',", "expected '=' and a value after the key", {}},
    {"expected value, saw", "there is no value after '='", {}},
    {"expected key or closing '}', saw '\\n'", "{...} must be on one line", "write a section instead"},
    {"dangling comma", "a comma before '}' is not allowed", {}},
    {"parsing array: encountered end-of-file", "this list is never closed with ']'", {}},
    {"parsing string: encountered end-of-file", "this text has no closing quote", {}},
    {"expected ']', saw", "the section's name is not closed with ']'", {}},
    {"expected comma or closing ']'", "expected ',' or ']' in a list", {}},
    {"leading zeroes", "numbers have no leading zeroes", {}},
}};

// "cannot redefine existing table 'a'"
std::optional<SyntaxProblem> explain_duplicate(std::string_view description) {
    constexpr std::string_view fragment = "cannot redefine existing ";
    const size_t at = description.find(fragment);
    if (at == std::string_view::npos) return std::nullopt;
    const size_t open = description.find('\'', at), close = description.rfind('\'');
    if (open == std::string_view::npos || close <= open) return SyntaxProblem{"this key is given twice", {}};
    const std::string key = text::printable(description.substr(open + 1, close - open - 1), 60);
    if (description.find("array '", at) != std::string_view::npos)
        return SyntaxProblem{fmt::format("'{}' was a list above", key),
                             fmt::format("write [[{}]] every time", key)};
    if (description.ends_with("as array-of-tables"))
        return SyntaxProblem{fmt::format("'{}' was not a list above", key),
                             fmt::format("write [[{}]] every time", key)};
    const bool table = description.find("table header") != std::string_view::npos;
    return SyntaxProblem{
        table ? fmt::format("[{}] is given twice", key) : fmt::format("'{}' is given twice", key), {}};
}

}  // namespace

void check_before_parsing(std::string_view toml, const std::string& name) {
    check_encoding(toml, name);
    DepthCheck(toml, name).run();
}

SyntaxProblem explain_syntax_error(std::string_view description, std::string_view line) {
    const bool about_value = description.find("parsing comment") == std::string_view::npos &&
                             description.find("cannot redefine") == std::string_view::npos;
    if (about_value)
        if (const std::optional<BareAssignment> written = bare_assignment(line))
            if (std::optional<SyntaxProblem> problem = explain_bare_value(*written)) return *problem;
    if (std::optional<SyntaxProblem> problem = explain_duplicate(description)) return *problem;
    for (const Explanation& known : explanations)
        if (description.find(known.fragment) != std::string_view::npos)
            return {std::string(known.what), std::string(known.advice)};

    // "Error while parsing date: expected month ..." becomes "not valid TOML: expected month ... (in a
    // date)".
    constexpr std::string_view activity = "Error while parsing ";
    const size_t colon = description.find(": ");
    if (!description.starts_with(activity) || colon == std::string_view::npos)
        return {fmt::format("not valid TOML: {}", text::printable(description)), {}};
    return {fmt::format("not valid TOML: {} (in a {})", text::printable(description.substr(colon + 2)),
                        description.substr(activity.size(), colon - activity.size())),
            {}};
}

}  // namespace halftone
