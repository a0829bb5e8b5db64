#include "core/base/text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "core/base/utf8.hpp"

namespace halftone::text {

namespace {

constexpr std::string_view ellipsis = "\xe2\x80\xa6";

std::string escaped(const Utf8Step& step, std::string_view bytes) {
    if (!step.valid) return fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[0]));
    switch (step.character) {
        case '\n':
            return "\\n";
        case '\r':
            return "\\r";
        case '\t':
            return "\\t";
        default:
            if (step.character < 0x100)
                return fmt::format("\\x{:02x}", static_cast<unsigned>(step.character));
            if (step.character < 0x10000)
                return fmt::format("\\u{:04x}", static_cast<unsigned>(step.character));
            return fmt::format("\\U{:08x}", static_cast<unsigned>(step.character));
    }
}

// Spelling that people mix up is no difference: "Block-Size" is block_size.
std::string folded(std::string_view word) {
    std::string out(word);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        if (c == '-' || c == ' ') c = '_';
    }
    return out;
}

// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
    for (size_t i = 0; i <= a.size(); ++i)
        cost[i][0] = i;
    for (size_t j = 0; j <= b.size(); ++j)
        cost[0][j] = j;
    for (size_t i = 1; i <= a.size(); ++i)
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t replace = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            cost[i][j] = std::min({replace, cost[i - 1][j] + 1, cost[i][j - 1] + 1});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    return cost[a.size()][b.size()];
}

struct Unit {
    std::string_view name;
    uint64_t bytes;
};

constexpr uint64_t kibi = 1024;
constexpr std::array<Unit, 11> units = {{{"", 1},
                                         {"B", 1},
                                         {"kB", 1000},
                                         {"KB", 1000},
                                         {"MB", 1000'000},
                                         {"GB", 1000'000'000},
                                         {"TB", 1000'000'000'000},
                                         {"KiB", kibi},
                                         {"MiB", kibi* kibi},
                                         {"GiB", kibi* kibi* kibi},
                                         {"TiB", kibi* kibi* kibi* kibi}}};

std::optional<uint64_t> unit_bytes(std::string_view name) {
    for (const Unit& unit : units)
        if (unit.name == name) return unit.bytes;
    return std::nullopt;
}

// The digits at the front of `text`, which loses them.
std::string_view take_digits(std::string_view& text) {
    size_t n = 0;
    while (n < text.size() && text[n] >= '0' && text[n] <= '9')
        ++n;
    const std::string_view digits = text.substr(0, n);
    text.remove_prefix(n);
    return digits;
}

std::optional<uint64_t> whole_number(std::string_view digits) {
    uint64_t value = 0;
    for (const char c : digits)
        if (__builtin_mul_overflow(value, uint64_t{10}, &value) ||
            __builtin_add_overflow(value, static_cast<uint64_t>(c - '0'), &value))
            return std::nullopt;
    return value;
}

// "quantize" and "dequantize".
bool is_opposite(std::string_view word, std::string_view candidate) {
    const auto reverses = [](std::string_view longer, std::string_view shorter) {
        return longer.size() == shorter.size() + 2 && longer.ends_with(shorter) &&
               (longer.starts_with("de") || longer.starts_with("un"));
    };
    return reverses(word, candidate) || reverses(candidate, word);
}

std::vector<std::string> numbers_in(std::string_view text) {
    std::vector<std::string> numbers;
    bool inside = false;
    for (const char c : text) {
        const bool digit = c >= '0' && c <= '9';
        if (digit && !inside) numbers.emplace_back();
        if (digit) numbers.back() += c;
        inside = digit;
    }
    return numbers;
}

// Who asks for 4 bits does not mean 8. A 9 may well be a slip: nothing has 9 bits.
bool changes_a_width(std::string_view word, std::string_view candidate) {
    constexpr std::array<std::string_view, 11> widths = {"1", "2",  "3",  "4",  "5", "6",
                                                         "8", "12", "16", "32", "64"};
    const std::vector<std::string> there = numbers_in(candidate);
    return !there.empty() && std::ranges::any_of(numbers_in(word), [&](const std::string& number) {
        return std::ranges::find(widths, number) != widths.end() &&
               std::ranges::find(there, number) == there.end();
    });
}

}  // namespace

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const Utf8Step step = utf8_step(text);
        if (!step.valid) return false;
        text.remove_prefix(step.bytes);
    }
    return true;
}

std::string printable(std::string_view text, size_t limit) {
    std::string out;
    size_t room_for_ellipsis = 0;  // where to cut so that the ellipsis fits
    while (!text.empty()) {
        const Utf8Step step = utf8_step(text);
        const std::string_view bytes = text.substr(0, step.bytes);
        text.remove_prefix(step.bytes);
        const bool plain = step.valid && !is_deceptive(step.character);
        out += plain ? std::string(bytes) : escaped(step, bytes);
        if (out.size() + ellipsis.size() <= limit) room_for_ellipsis = out.size();
        if (out.size() > limit) {
            out.resize(room_for_ellipsis);
            return out.append(limit < ellipsis.size() ? std::string_view{} : ellipsis);
        }
    }
    return out;
}

std::optional<std::string> closest(std::string_view word, std::span<const std::string> candidates) {
    constexpr size_t longest = 64;  // nobody mistypes more; keeps hostile input cheap
    if (word.empty() || word.size() > longest) return std::nullopt;
    const std::string wanted = folded(word);
    std::optional<std::string> best;
    bool tied = false;
    size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
    for (const std::string& candidate : candidates) {
        if (candidate.size() > longest) continue;
        if (changes_a_width(word, candidate) || is_opposite(wanted, folded(candidate))) continue;
        const size_t d = distance(wanted, folded(candidate));
        if (d < best_distance && d < std::max(word.size(), candidate.size())) {
            best_distance = d;
            best = candidate;
            tied = false;
        } else if (best && d == best_distance && numbers_in(*best) != numbers_in(candidate)) {
            tied = true;  // either number may have been meant
        }
    }
    return tied ? std::nullopt : best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
    const std::optional<std::string> best = closest(word, candidates);
    return best ? fmt::format("; did you mean '{}'?", printable(*best)) : std::string();
}

std::string bytes(uint64_t n) {
    if (n < kibi) return fmt::format("{} B", n);
    constexpr std::array<const char*, 6> names = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double value = static_cast<double>(n) / kibi;
    // 1023.96 would be printed as "1024".
    while (unit + 1 < names.size() && value >= 1023.5) {
        value /= kibi;
        ++unit;
    }
    const double tenths = std::round(value * 10);
    const bool whole = tenths >= 1000 || std::fmod(tenths, 10) == 0;
    return fmt::format("{:.{}f} {}", value, whole ? 0 : 1, names[unit]);
}

std::string grouped(uint64_t n) {
    std::string digits = std::to_string(n);
    for (size_t left = digits.size(); left > 3;) {
        left -= 3;
        digits.insert(left, 1, ',');
    }
    return digits;
}

std::string plural(uint64_t count, std::string_view noun, std::string_view nouns) {
    const std::string many = nouns.empty() ? std::string(noun) + "s" : std::string(nouns);
    return grouped(count) + " " + (count == 1 ? std::string(noun) : many);
}

std::string duration(double seconds) {
    if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return "unknown";
    if (seconds < 0.95) return fmt::format("{:.2g} s", seconds);
    if (seconds < 9.95) {
        const double tenths = std::round(seconds * 10);
        return fmt::format("{:.{}f} s", tenths / 10, std::fmod(tenths, 10) == 0 ? 0 : 1);
    }
    const auto whole = static_cast<uint64_t>(std::llround(seconds));
    if (whole < 60) return fmt::format("{} s", whole);
    if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
    return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

std::optional<uint64_t> parse_bytes(std::string_view text) {
    const std::string_view integer = take_digits(text);
    std::string_view fraction;
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        fraction = take_digits(text);
        // More digits could not be multiplied without overflow, and nobody means them.
        if (fraction.empty() || fraction.size() > 6) return std::nullopt;
    }
    if (integer.empty()) return std::nullopt;
    if (text.starts_with(' ') && text.size() > 1) text.remove_prefix(1);

    const std::optional<uint64_t> unit = unit_bytes(text), whole = whole_number(integer);
    if (!unit || !whole) return std::nullopt;
    if (!fraction.empty() && *unit == 1) return std::nullopt;
    uint64_t part = whole_number(fraction).value_or(0) * *unit;
    for (size_t i = 0; i < fraction.size(); ++i)
        part /= 10;
    uint64_t total = 0;
    if (__builtin_mul_overflow(*whole, *unit, &total) || __builtin_add_overflow(total, part, &total))
        return std::nullopt;
    return total;
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    if (text.empty()) return parts;
    while (true) {
        const size_t at = text.find(separator);
        parts.emplace_back(text.substr(0, at));
        if (at == std::string_view::npos) return parts;
        text.remove_prefix(at + 1);
    }
}

std::string join(std::span<const std::string> parts, std::string_view separator) {
    return fmt::format("{}", fmt::join(parts, separator));
}

std::string toml_quoted(std::string_view text) {
    std::string out = "\"";
    while (!text.empty()) {
        const Utf8Step step = utf8_step(text);
        const std::string_view bytes = text.substr(0, step.bytes);
        text.remove_prefix(step.bytes);
        if (!step.valid) {
            out += "\uFFFD";
        } else if (step.character == '"' || step.character == '\\') {
            out.append(1, '\\').append(bytes);
        } else if (step.character == '\n') {
            out += "\\n";
        } else if (step.character == '\t') {
            out += "\\t";
        } else if (is_deceptive(step.character)) {
            const auto number = static_cast<unsigned>(step.character);
            out += number < 0x10000 ? fmt::format("\\u{:04X}", number) : fmt::format("\\U{:08X}", number);
        } else {
            out += bytes;
        }
    }
    return out + '"';
}

}  // namespace halftone::text
