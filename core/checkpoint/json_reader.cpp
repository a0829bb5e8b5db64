#include "core/checkpoint/json_reader.hpp"

#include <algorithm>

#include "core/base/utf8.hpp"
#include "core/checkpoint/in_quotes.hpp"

namespace halftone {
namespace {

constexpr size_t chunk_bytes = size_t{128} * 1024;
constexpr size_t longest_number = 40;  // more digits than any number that fits into 64 bits

bool is_digit(int c) {
    return c >= '0' && c <= '9';
}

void append_utf8(std::string& out, uint32_t code) {
    if (code < 0x80) {
        out.push_back(static_cast<char>(code));
        return;
    }
    if (code < 0x800) {
        out.push_back(static_cast<char>(0xC0 | (code >> 6)));
    } else {
        if (code < 0x10000) {
            out.push_back(static_cast<char>(0xE0 | (code >> 12)));
        } else {
            out.push_back(static_cast<char>(0xF0 | (code >> 18)));
            out.push_back(static_cast<char>(0x80 | ((code >> 12) & 0x3F)));
        }
        out.push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
    }
    out.push_back(static_cast<char>(0x80 | (code & 0x3F)));
}

}  // namespace

std::string_view name(JsonReader::Kind kind) {
    switch (kind) {
        case JsonReader::Kind::object:
            return "an object";
        case JsonReader::Kind::array:
            return "a list";
        case JsonReader::Kind::string:
            return "a string";
        case JsonReader::Kind::number:
            return "a number";
        case JsonReader::Kind::literal:
            return "true, false or null";
    }
    return "";
}

std::function<std::string_view()> chunks_of(const os::File& file, uint64_t offset, uint64_t bytes,
                                            std::function<void(std::span<const std::byte>)> see) {
    std::vector<char> chunk(std::min<uint64_t>(chunk_bytes, bytes));
    return [&file, offset, end = offset + bytes, see = std::move(see),
            chunk = std::move(chunk)]() mutable -> std::string_view {
        const size_t n = std::min<uint64_t>(chunk.size(), end - offset);
        const std::span<std::byte> part = std::as_writable_bytes(std::span(chunk.data(), n));
        file.read(offset, part);
        if (see) see(part);
        offset += n;
        return {chunk.data(), n};
    };
}

int JsonReader::look() {
    if (rest_.empty() && !ended_) {
        rest_ = text_.next();
        ended_ = rest_.empty();
    }
    return rest_.empty() ? -1 : static_cast<unsigned char>(rest_.front());
}

void JsonReader::take() {
    rest_.remove_prefix(1);
    ++position_;
}

void JsonReader::skip_space() {
    for (int c = look(); c == ' ' || c == '\n' || c == '\r' || c == '\t'; c = look())
        take();
}

std::string JsonReader::found() {
    int c = look();
    if (c < 0) return "the end";
    char byte = static_cast<char>(c);
    return in_quotes({&byte, 1});
}

void JsonReader::expect(char wanted, std::string_view after) {
    if (look() != static_cast<unsigned char>(wanted))
        refuse("invalid JSON: '{}' expected {}, found {}", wanted, after, found());
    take();
}

JsonReader::Kind JsonReader::peek() {
    skip_space();
    int c = look();
    if (c == '{') return Kind::object;
    if (c == '[') return Kind::array;
    if (c == '"') return Kind::string;
    if (c == '-' || is_digit(c)) return Kind::number;
    if (c == 't' || c == 'f' || c == 'n') return Kind::literal;
    refuse("invalid JSON: a value expected, found {}", found());
}

void JsonReader::enter() {
    if (fresh_.size() >= text_.depth) refuse("nested deeper than {} levels", text_.depth);
    fresh_.push_back(true);
}

void JsonReader::begin_object() {
    skip_space();
    expect('{', "where an object begins");
    enter();
}

void JsonReader::begin_array() {
    skip_space();
    expect('[', "where a list begins");
    enter();
}

bool JsonReader::advance(char close) {
    skip_space();
    if (look() == static_cast<unsigned char>(close)) {
        take();
        fresh_.pop_back();
        return false;
    }
    if (!fresh_.back()) {
        if (look() != ',') refuse("invalid JSON: ',' or '{}' expected, found {}", close, found());
        take();
        skip_space();
    }
    fresh_.back() = false;
    return true;
}

bool JsonReader::next_member(std::string& key) {
    if (!advance('}')) return false;
    string(key);
    skip_space();
    expect(':', "after a key");
    return true;
}

bool JsonReader::next_element() {
    return advance(']');
}

void JsonReader::string(std::string& out) {
    out.clear();
    read_string(&out);
}

void JsonReader::read_string(std::string* out) {
    skip_space();
    expect('"', "where a string begins");
    for (;;) {
        int c = look();
        size_t plain = 0;
        while (plain < rest_.size()) {
            auto byte = static_cast<unsigned char>(rest_[plain]);
            if (byte < 0x20 || byte >= 0x80 || byte == '"' || byte == '\\') break;
            ++plain;
        }
        if (plain > 0) {
            if (out) out->append(rest_.substr(0, plain));
            rest_.remove_prefix(plain);
            position_ += plain;
            continue;
        }
        if (c < 0) refuse("invalid JSON: the text ends inside a string");
        if (c < 0x20) refuse("invalid JSON: control character 0x{:02X} in a string must be escaped", c);
        if (c >= 0x80) {
            read_beyond_ascii(out);
            continue;
        }
        take();
        if (c == '"') return;
        read_escape(out);
    }
}

void JsonReader::read_beyond_ascii(std::string* out) {
    std::string character(1, static_cast<char>(look()));
    const auto lead = static_cast<unsigned char>(character[0]);
    const size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    take();
    for (int c = look(); character.size() < size && c >= 0x80 && c < 0xC0; c = look()) {
        character.push_back(static_cast<char>(c));
        take();
    }
    const Utf8Step step = utf8_step(character);
    if (!step.valid || step.bytes != character.size())
        refuse("not valid UTF-8: {} in a string", in_quotes(character));
    if (out) out->append(character);
}

uint32_t JsonReader::read_hex() {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
        int c = look();
        int digit = is_digit(c)              ? c - '0'
                    : (c >= 'a' && c <= 'f') ? c - 'a' + 10
                    : (c >= 'A' && c <= 'F') ? c - 'A' + 10
                                             : -1;
        if (digit < 0) refuse("invalid JSON: four hexadecimal digits expected after \\u, found {}", found());
        value = value * 16 + static_cast<uint32_t>(digit);
        take();
    }
    return value;
}

void JsonReader::read_escape(std::string* out) {
    int c = look();
    constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    size_t at = c < 0 ? std::string_view::npos : letters.find(static_cast<char>(c));
    if (at != std::string_view::npos) {
        take();
        if (out) out->push_back(meanings[at]);
        return;
    }
    if (c != 'u') refuse("invalid JSON: unknown escape, found {} after a backslash", found());
    take();
    uint32_t code = read_hex();
    if (code >= 0xD800 && code < 0xDC00) {
        uint32_t low = 0;
        if (look() == '\\') {
            take();
            if (look() == 'u') {
                take();
                low = read_hex();
            }
        }
        if (low < 0xDC00 || low > 0xDFFF) refuse("not valid UTF-8: half a surrogate pair");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code <= 0xDFFF) {
        refuse("not valid UTF-8: half a surrogate pair");
    }
    if (out) append_utf8(*out, code);
}

void JsonReader::read_digits(std::string& out) {
    if (!is_digit(look())) refuse("invalid JSON: a digit expected, found {}", found());
    for (int c = look(); is_digit(c); c = look()) {
        if (out.size() < longest_number) out.push_back(static_cast<char>(c));
        take();
    }
}

std::string JsonReader::number() {
    skip_space();
    std::string out;
    auto keep = [&] {
        if (out.size() < longest_number) out.push_back(static_cast<char>(look()));
        take();
    };
    if (look() == '-') keep();
    if (look() == '0') {
        keep();
    } else {
        read_digits(out);
    }
    if (look() == '.') {
        keep();
        read_digits(out);
    }
    if (look() == 'e' || look() == 'E') {
        keep();
        if (look() == '+' || look() == '-') keep();
        read_digits(out);
    }
    return out;
}

void JsonReader::skip() {
    switch (peek()) {
        case Kind::object:  // deeper calls are bounded by the depth
            begin_object();
            while (advance('}')) {
                read_string(nullptr);
                skip_space();
                expect(':', "after a key");
                skip();
            }
            return;
        case Kind::array:
            begin_array();
            while (advance(']'))
                skip();
            return;
        case Kind::string:
            read_string(nullptr);
            return;
        case Kind::number:
            number();
            return;
        case Kind::literal:
            literal();
            return;
    }
}

std::string_view JsonReader::literal() {
    skip_space();
    const int first = look();
    const std::string_view word = first == 't' ? "true" : first == 'f' ? "false" : "null";
    for (char c : word)
        expect(c, "in 'true', 'false' or 'null'");
    return word;
}

void JsonReader::finish() {
    skip_space();
    if (look() >= 0) refuse("invalid JSON: {} follows the end of the object", found());
}

}  // namespace halftone
