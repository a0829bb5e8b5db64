#include "core/plan/arithmetic.hpp"

#include <array>
#include <cctype>
#include <charconv>
#include <fmt/format.h>
#include <utility>

namespace halftone::arithmetic {
namespace {

using Value = std::optional<int64_t>;

struct Mistake {
    std::string what;
};

constexpr unsigned deepest = 64;

Value truth(bool value) {
    return value ? 1 : 0;
}

Value combined(std::string_view sign, Value a, Value b) {
    if (sign == "||") {
        if ((a && *a != 0) || (b && *b != 0)) return 1;
        return a && b ? truth(false) : std::nullopt;
    }
    if (sign == "&&") {
        if ((a && *a == 0) || (b && *b == 0)) return 0;
        return a && b ? truth(true) : std::nullopt;
    }
    if (!a || !b) return std::nullopt;
    if (sign == "==") return truth(*a == *b);
    if (sign == "!=") return truth(*a != *b);
    if (sign == "<") return truth(*a < *b);
    if (sign == "<=") return truth(*a <= *b);
    if (sign == ">") return truth(*a > *b);
    if (sign == ">=") return truth(*a >= *b);
    int64_t result = 0;
    if (sign == "+") return __builtin_add_overflow(*a, *b, &result) ? std::nullopt : Value(result);
    if (sign == "-") return __builtin_sub_overflow(*a, *b, &result) ? std::nullopt : Value(result);
    if (sign == "*") return __builtin_mul_overflow(*a, *b, &result) ? std::nullopt : Value(result);
    if (*b <= 0 || *a < 0) return std::nullopt;  // sizes are never negative
    return sign == "/" ? *a / *b : *a % *b;
}

Value next_multiple(Value a, Value b) {
    if (!a || !b || *a < 0 || *b <= 0) return std::nullopt;
    int64_t result = 0;
    if (__builtin_add_overflow(*a, *b - 1, &result)) return std::nullopt;
    return result / *b * *b;
}

Value is_power(Value base, Value number) {
    if (!base || !number) return std::nullopt;
    if (*base < 2 || *number < 1) return 0;
    int64_t left = *number;
    while (left % *base == 0)
        left /= *base;
    return truth(left == 1 && *number > 1);
}

// Signs of one strength each, the weakest first.
constexpr std::array<std::array<std::string_view, 4>, 6> levels = {{
    {"||"},
    {"&&"},
    {"==", "!="},
    {"<=", ">=", "<", ">"},
    {"+", "-"},
    {"*", "/", "%"},
}};

class Parser {
  public:
    Parser(std::string_view text, const Lookup& lookup) : rest_(text), lookup_(lookup) {}

    Value whole() {
        const Value value = level(0);
        skip_blanks();
        if (!rest_.empty()) throw Mistake{fmt::format("'{}' is left over", rest_)};
        return value;
    }

  private:
    void skip_blanks() {
        while (!rest_.empty() && rest_.front() == ' ')
            rest_.remove_prefix(1);
    }

    bool accept(std::string_view sign) {
        skip_blanks();
        if (!rest_.starts_with(sign)) return false;
        rest_.remove_prefix(sign.size());
        return true;
    }

    void expect(std::string_view sign) {
        if (!accept(sign)) throw Mistake{fmt::format("'{}' is missing", sign)};
    }

    Value level(size_t strength) {
        if (strength == levels.size()) return factor();
        Value value = level(strength + 1);
        for (;;) {
            std::string_view found;
            for (const std::string_view sign : levels[strength])
                if (found.empty() && !sign.empty() && accept(sign)) found = sign;
            if (found.empty()) return value;
            value = combined(found, value, level(strength + 1));
        }
    }

    Value factor() {
        if (++depth_ > deepest) throw Mistake{"it is nested too deeply"};
        const Value value = bare_factor();
        --depth_;
        return value;
    }

    Value bare_factor() {
        if (accept("!")) {
            const Value value = factor();
            return value ? truth(*value == 0) : std::nullopt;
        }
        if (accept("(")) {
            const Value value = level(0);
            expect(")");
            return value;
        }
        skip_blanks();
        size_t length = 0;
        while (length < rest_.size() &&
               (std::isalnum(static_cast<unsigned char>(rest_[length])) != 0 || rest_[length] == '_'))
            ++length;
        const std::string_view word = rest_.substr(0, length);
        if (word.empty())
            throw Mistake{rest_.empty() ? "it ends too early" : fmt::format("'{}' is no number", rest_)};
        rest_.remove_prefix(length);
        if (std::isdigit(static_cast<unsigned char>(word.front())) != 0) {
            int64_t number = 0;
            const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
            if (error != std::errc() || end != word.data() + word.size())
                throw Mistake{fmt::format("'{}' is no number", word)};
            return number;
        }
        if (!accept("(")) return lookup_(word);
        const Value a = level(0);
        expect(",");
        const Value b = level(0);
        expect(")");
        if (word == "up") return next_multiple(a, b);
        if (word == "power") return is_power(a, b);
        throw Mistake{fmt::format("there is no function '{}'", word)};
    }

    std::string_view rest_;
    const Lookup& lookup_;
    unsigned depth_ = 0;
};

}  // namespace

std::optional<int64_t> evaluate(std::string_view expression, const Lookup& lookup) {
    try {
        return Parser(expression, lookup).whole();
    } catch (const Mistake&) {
        return std::nullopt;
    }
}

std::string problem_of(std::string_view expression, const std::function<void(std::string_view)>& name) {
    const Lookup tell = [&](std::string_view word) -> std::optional<int64_t> {
        name(word);
        return std::nullopt;
    };
    try {
        Parser(expression, tell).whole();
        return "";
    } catch (const Mistake& mistake) {
        return mistake.what;
    }
}

}  // namespace halftone::arithmetic
