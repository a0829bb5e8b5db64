#include "core/pipeline/glob.hpp"

#include "core/base/utf8.hpp"

namespace halftone {
namespace {

// One character of a text, or one byte where it is broken; takes it off the front.
char32_t take(std::string_view& text) {
    const Utf8Step step = utf8_step(text);
    // A broken byte must not equal the character of the same number.
    constexpr char32_t beyond_unicode = 0x110000;
    const char32_t result =
        step.valid ? step.character : beyond_unicode + static_cast<unsigned char>(text.front());
    text.remove_prefix(step.bytes);
    return result;
}

// A bracket expression without its brackets: "!a-f0". A `]` in front stands for itself.
struct Set {
    std::string_view members;
    bool inverted = false;
};

// Takes a set off the front of a glob that starts with '['. Nothing if it is never closed.
std::optional<Set> take_set(std::string_view& glob) {
    size_t start = 1;
    const bool inverted = glob.size() > start && glob[start] == '!';
    start += inverted;
    const size_t end = glob.find(']', start + 1);
    if (end == std::string_view::npos || start >= glob.size()) return std::nullopt;
    const Set set{glob.substr(start, end - start), inverted};
    glob.remove_prefix(end + 1);
    return set;
}

// Calls `visit` with the first and last character of every range until it returns true.
template <class Visit>
bool any_range(std::string_view members, const Visit& visit) {
    while (!members.empty()) {
        const char32_t first = take(members);
        char32_t last = first;
        if (members.size() > 1 && members.front() == '-') {
            members.remove_prefix(1);
            last = take(members);
        }
        if (visit(first, last)) return true;
    }
    return false;
}

bool contains(const Set& set, char32_t character) {
    const bool inside = any_range(
        set.members, [&](char32_t first, char32_t last) { return first <= character && character <= last; });
    return inside != set.inverted;
}

// Matches one character of the name against what stands at the front of the glob, which is not `*`; takes
// both.
bool take_match(std::string_view& glob, std::string_view& name) {
    const char32_t character = take(name);
    if (glob.front() == '[')
        if (const std::optional<Set> set = take_set(glob)) return contains(*set, character);
    const char32_t wanted = take(glob);
    return wanted == U'?' || wanted == character;
}

}  // namespace

bool glob_matches(std::string_view glob, std::string_view name) {
    // Only the last star passed is ever reconsidered: what an earlier one could take instead, it can as well.
    std::optional<std::string_view> glob_after_star;
    std::string_view name_after_star;
    while (true) {
        if (!glob.empty() && glob.front() == '*') {
            glob.remove_prefix(1);
            glob_after_star = glob;
            name_after_star = name;
            continue;
        }
        if (name.empty() && glob.empty()) return true;
        if (!name.empty() && !glob.empty() && take_match(glob, name)) continue;
        if (!glob_after_star || name_after_star.empty()) return false;
        take(name_after_star);
        name = name_after_star;
        glob = *glob_after_star;
    }
}

std::optional<std::string> glob_problem(std::string_view glob) {
    while (!glob.empty()) {
        if (glob.front() == '[') {
            const std::optional<Set> set = take_set(glob);
            if (!set) return "'[' is never closed; a bracket itself is written [[]";
            const auto backwards = [](char32_t first, char32_t last) { return first > last; };
            if (any_range(set->members, backwards)) return "a range in [...] runs backwards";
            continue;
        }
        const char32_t character = take(glob);
        if (character == U'{' || character == U'}')
            return "globs know no {a,b}; give a list of globs, or use 'regex'";
        if (character == U'\\')
            return "globs know no backslash; use [...] for a character itself, or 'regex'";
    }
    return std::nullopt;
}

}  // namespace halftone
