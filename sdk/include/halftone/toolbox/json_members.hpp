// Reads a few members of a small JSON object: a layer's marker. No document is built; what is not asked for
// is only checked for its form.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <halftone/plugin.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

class JsonMembers {
  public:
    // Throws Refused if the text is no JSON object. NULs at the end, which some writers leave, are ignored.
    // The text must outlive this object.
    explicit JsonMembers(std::string_view text) : text_(text) {
        while (!text_.empty() && text_.back() == '\0')
            text_.remove_suffix(1);
        members_ = object_members();
        skip_space();
        if (at_ != text_.size()) fail();
    }

    bool has(std::string_view key) const { return find(key).has_value(); }
    // The JSON of a member's value.
    std::optional<std::string_view> raw(std::string_view key) const { return find(key); }

    // The value of a member, or nothing if it is missing or of another type. Text as it stands between the
    // quotes: one with escapes is given back with them.
    std::optional<std::string_view> text(std::string_view key) const {
        const auto value = find(key);
        if (!value || value->front() != '"') return std::nullopt;
        return value->substr(1, value->size() - 2);
    }
    std::optional<bool> flag(std::string_view key) const {
        const auto value = find(key);
        if (!value || (*value != "true" && *value != "false")) return std::nullopt;
        return *value == "true";
    }
    std::optional<int64_t> whole(std::string_view key) const {
        const auto value = find(key);
        int64_t number = 0;
        if (!value) return std::nullopt;
        const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
        if (error != std::errc() || end != value->data() + value->size()) return std::nullopt;
        return number;
    }
    std::optional<double> real(std::string_view key) const {
        const auto value = find(key);
        double number = 0;
        if (!value) return std::nullopt;
        const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
        if (error != std::errc() || end != value->data() + value->size()) return std::nullopt;
        return number;
    }
    // An array of whole numbers.
    std::optional<std::vector<int64_t>> wholes(std::string_view key) const {
        const auto value = find(key);
        if (!value || value->front() != '[') return std::nullopt;
        std::vector<int64_t> numbers;
        for (const char *at = value->data() + 1, *const end = value->data() + value->size() - 1; at < end;) {
            if (std::string_view(" \t\r\n,").find(*at) != std::string_view::npos) {
                ++at;
                continue;
            }
            const auto [after, error] = std::from_chars(at, end, numbers.emplace_back());
            if (error != std::errc()) return std::nullopt;
            at = after;
        }
        return numbers;
    }
    std::optional<JsonMembers> object(std::string_view key) const {
        const auto value = find(key);
        if (!value || value->front() != '{') return std::nullopt;
        return JsonMembers(*value);
    }

  private:
    static constexpr int deepest = 32;
    using Members = std::vector<std::pair<std::string_view, std::string_view>>;

    [[noreturn]] static void fail() { throw Refused("its marker is no JSON object"); }

    // Of equal keys the last one counts, as in Python.
    std::optional<std::string_view> find(std::string_view key) const {
        for (auto member = members_.rbegin(); member != members_.rend(); ++member)
            if (member->first == key) return member->second;
        return std::nullopt;
    }

    void skip_space() {
        while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
            ++at_;
    }
    char next() {
        skip_space();
        return at_ < text_.size() ? text_[at_] : '\0';
    }
    bool take(char c) { return next() == c ? (++at_, true) : false; }
    void expect(char c) {
        if (!take(c)) fail();
    }

    std::string_view string() {
        expect('"');
        const size_t from = at_;
        for (; at_ < text_.size() && text_[at_] != '"'; ++at_)
            if (text_[at_] == '\\') ++at_;
        if (at_ >= text_.size()) fail();
        return text_.substr(from, at_++ - from);
    }

    Members object_members() {
        if (++depth_ > deepest) fail();
        Members members;
        expect('{');
        if (!take('}')) {
            do {
                const std::string_view key = (skip_space(), string());
                expect(':');
                members.emplace_back(key, value());
            } while (take(','));
            expect('}');
        }
        --depth_;
        return members;
    }

    void array() {
        if (++depth_ > deepest) fail();
        expect('[');
        if (!take(']')) {
            do
                value();
            while (take(','));
            expect(']');
        }
        --depth_;
    }

    // Any value; gives back its text.
    std::string_view value() {
        const char first = next();
        const size_t from = at_;
        if (first == '{')
            object_members();
        else if (first == '[')
            array();
        else if (first == '"')
            string();
        else {
            const std::string_view literal = "+-.0123456789abcdefghijklmnopqrstuvwxyzENI";
            while (at_ < text_.size() && literal.find(text_[at_]) != std::string_view::npos)
                ++at_;
            if (at_ == from) fail();
        }
        return text_.substr(from, at_ - from);
    }

    std::string_view text_;
    size_t at_ = 0;
    int depth_ = 0;
    Members members_;
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
