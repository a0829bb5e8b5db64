#include "core/base/printable.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "core/base/text.hpp"
#include "core/base/utf8.hpp"

namespace halftone::text {

namespace {

// Hands each character to `write(step, bytes)`.
template <class Write>
void each_character(std::string_view text, Write write) {
    while (!text.empty()) {
        const Utf8Step step = utf8_step(text);
        write(step, text.substr(0, step.bytes));
        text.remove_prefix(step.bytes);
    }
}

}  // namespace

std::string printable_lines(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const size_t end = std::min(text.find_first_of("\n\t"), text.size());
        out += printable(text.substr(0, end), std::string::npos);
        if (end < text.size()) out += text[end];
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

std::string indented_lines(std::string_view text) {
    std::vector<std::string> lines = split(text, '\n');
    for (std::string& line : lines)
        if (!line.starts_with("  ")) line.insert(0, "  ");
    return join(lines, "\n");
}

std::string toml_printable(std::string_view document) {
    std::string out;
    each_character(document, [&](const Utf8Step& step, std::string_view bytes) {
        const auto number = static_cast<unsigned>(step.character);
        if (!step.valid)
            out += "\uFFFD";
        else if (!is_deceptive(step.character) || step.character == '\n' || step.character == '\t')
            out += bytes;
        else
            out += number < 0x10000 ? fmt::format("\\u{:04X}", number) : fmt::format("\\U{:08X}", number);
    });
    return out;
}

std::string json_printable(std::string_view document) {
    std::string out;
    out.reserve(document.size());
    each_character(document, [&](const Utf8Step& step, std::string_view bytes) {
        const auto number = static_cast<unsigned>(step.character);
        if (!step.valid)
            out += "\uFFFD";
        else if (!is_deceptive(step.character) || step.character == '\n')
            out += bytes;
        else if (number < 0x10000)
            out += fmt::format("\\u{:04x}", number);
        else
            out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((number - 0x10000) >> 10),
                               0xDC00 + ((number - 0x10000) & 0x3FF));
    });
    return out;
}

}  // namespace halftone::text

namespace halftone {

// In pieces: a table of a million tensors comes as one text.
bool PrintableStream::Buffer::take(std::string_view bytes) {
    constexpr size_t most = 16 * 1024;
    while (!bytes.empty()) {
        const size_t taken = std::min(bytes.size(), most - std::min(held_.size(), most - 1));
        held_ += bytes.substr(0, taken);
        bytes.remove_prefix(taken);
        if (held_.size() >= most && !pass_on_what_is_whole()) return false;
    }
    return true;
}

// Whole lines. Of a very long line all but its end, which may be the beginning of a character.
bool PrintableStream::Buffer::pass_on_what_is_whole() {
    constexpr size_t longest_character = 4;
    if (const size_t line = held_.rfind('\n'); line != std::string::npos) return pass_on(line + 1);
    size_t end = held_.size();
    while (end > held_.size() - longest_character &&
           (static_cast<unsigned char>(held_[end - 1]) & 0xC0u) == 0x80)
        --end;
    return pass_on(end - 1);
}

bool PrintableStream::Buffer::pass_on(size_t bytes) {
    out_ << text::printable_lines(std::string_view(held_).substr(0, bytes));
    held_.erase(0, bytes);
    return out_.good();
}

PrintableStream::Buffer::int_type PrintableStream::Buffer::overflow(int_type c) {
    if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
    const char one = traits_type::to_char_type(c);
    return take({&one, 1}) ? c : traits_type::eof();
}

std::streamsize PrintableStream::Buffer::xsputn(const char* bytes, std::streamsize n) {
    return take({bytes, static_cast<size_t>(n)}) ? n : 0;
}

int PrintableStream::Buffer::sync() {
    return pass_on(held_.size()) && out_.flush() ? 0 : -1;
}

}  // namespace halftone
