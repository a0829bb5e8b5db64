#include "core/checkpoint/json_reader.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>

#include "core/base/json.hpp"

namespace halftone {
namespace {

// In pieces, because a stream may break anywhere.
JsonReader reader(std::string_view text, size_t piece = 3, unsigned depth = 16) {
    return JsonReader({"file", "text", 0, depth, [text, piece]() mutable {
                           const std::string_view next = text.substr(0, piece);
                           text.remove_prefix(next.size());
                           return next;
                       }});
}

// Everything that a reader sees, written again.
Json copy(JsonReader& json) {
    switch (json.peek()) {
        case JsonReader::Kind::object: {
            Json object = Json::object();
            json.begin_object();
            for (std::string key; json.next_member(key);)
                object[key] = copy(json);
            return object;
        }
        case JsonReader::Kind::array: {
            Json array = Json::array();
            json.begin_array();
            while (json.next_element())
                array.push_back(copy(json));
            return array;
        }
        case JsonReader::Kind::string: {
            std::string text;
            json.string(text);
            return text;
        }
        case JsonReader::Kind::number:
            return Json::parse(json.number());
        case JsonReader::Kind::literal:
            json.skip();
            return nullptr;
    }
    return nullptr;
}

bool skips(std::string_view text, size_t piece) {
    try {
        JsonReader json = reader(text, piece);
        json.skip();
        json.finish();
        return true;
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::input);
        return false;
    }
}

TEST(JsonReader, ReadsWhatIsThere) {
    const std::string text =
        " {\"a\" : [1, -2.5e+3 ,\t0], \"\\u00e9\\ud83d\\ude00\\n\\/\":{\"ü€😀\":\"\\\"\\\\\"} "
        ",\r\n\"e\":[],\"o\":{}} ";
    for (size_t piece = 1; piece < text.size(); ++piece) {
        JsonReader json = reader(text, piece);
        EXPECT_EQ(copy(json), Json::parse(text));
        json.finish();
    }
}

TEST(JsonReader, CountsDepth) {
    for (const char* text : {"[[[]]]", R"({"a":{"a":{}}})"}) {
        JsonReader enough = reader(text, 1, 3), too_little = reader(text, 1, 2);
        EXPECT_NO_THROW(enough.skip());
        EXPECT_THROW(too_little.skip(), Error);
    }
}

TEST(JsonReader, TellsTheByteOfAnError) {
    JsonReader json = reader(R"({"abc": ?})");
    try {
        json.skip();
        FAIL();
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "file: text: invalid JSON: a value expected, found '?' (at byte 8)");
    }
}

TEST(JsonReader, CutsNumbersThatNobodyCanRead) {
    const std::string text(100'000, '7');
    JsonReader json = reader(text, 1000);
    EXPECT_LT(json.number().size(), 100U);
    json.finish();
}

// A text with everything in it; small enough that a mutation often hits something that matters.
std::string random_text(std::mt19937_64& random, int depth = 0) {
    const auto pick = [&](uint64_t n) { return random() % n; };
    const auto string = [&] {
        constexpr std::string_view pieces[] = {
            "a", "\\n", "\\u00e9", "\\ud83d\\ude00", "é", "😀", "\\\"", "\\u0000", " ", "€"};
        std::string out = "\"";
        for (uint64_t n = pick(4); n > 0; --n)
            out += pieces[pick(std::size(pieces))];
        return out += '"';
    };
    const char* spaces[] = {"", "", "", " ", "\n\t"};
    const auto space = [&] { return spaces[pick(std::size(spaces))]; };
    switch (depth > 3 ? pick(3) : pick(5)) {
        case 0:
            return string();
        case 1: {
            constexpr const char* numbers[] = {
                "0", "-0", "12", "-3.25", "1e5", "2E-7", "18446744073709551615"};
            return numbers[pick(std::size(numbers))];
        }
        case 2: {
            constexpr const char* literals[] = {"true", "false", "null"};
            return literals[pick(std::size(literals))];
        }
        case 3: {
            std::string out = "[";
            for (uint64_t i = 0, n = pick(4); i < n; ++i)
                out.append(i ? "," : "")
                    .append(space())
                    .append(random_text(random, depth + 1))
                    .append(space());
            return out + "]";
        }
        default: {
            std::string out = "{";
            for (uint64_t i = 0, n = pick(4); i < n; ++i) {
                out.append(i ? "," : "").append(space()).append(string()).append(space()).append(":");
                out.append(space()).append(random_text(random, depth + 1)).append(space());
            }
            return out + "}";
        }
    }
}

std::string mutated(std::string text, std::mt19937_64& random) {
    constexpr std::string_view likely = "{}[]:,\"\\ \n0159-+.eEutfn/\x80\xC3\xE2\xED\xA0\xF0\xFF";
    for (uint64_t n = 1 + random() % 2; n > 0; --n) {
        const size_t at = random() % (text.size() + 1);
        const char byte = random() % 4 ? likely[random() % likely.size()] : static_cast<char>(random());
        switch (random() % 4) {
            case 0:
                text.insert(at, 1, byte);
                break;
            case 1:
                text.erase(at, 1);
                break;
            case 2:
                text.resize(at);
                break;
            default:
                if (at < text.size()) text[at] = byte;
        }
    }
    return text;
}

// Nothing where the two differ on purpose: the library skips a byte order mark and refuses numbers beyond a
// double.
std::optional<bool> library_takes(const std::string& text) {
    constexpr int number_overflow = 406;
    if (text.starts_with('\xEF') || text.find('\0') != std::string::npos) return std::nullopt;
    try {
        const Json parsed = Json::parse(text);
        return true;
    } catch (const Json::exception& error) {
        return error.id == number_overflow ? std::nullopt : std::optional(false);
    }
}

// As copy() leaves them.
void drop_literals(Json& value) {
    if (value.is_boolean()) value = nullptr;
    if (!value.is_structured()) return;
    for (Json& item : value)
        drop_literals(item);
}

TEST(JsonReader, TakesExactlyWhatTheJsonLibraryTakes) {
    std::mt19937_64 random(7);
    uint64_t taken = 0;
    constexpr int rounds = 30'000;
    for (int i = 0; i < rounds; ++i) {
        const std::string whole = random_text(random);
        const std::string text = i % 8 ? mutated(whole, random) : whole;
        const std::optional<bool> valid = library_takes(text);
        if (!valid) continue;
        taken += *valid;
        ASSERT_EQ(skips(text, 1 + random() % 9), *valid) << text;
        if (!*valid) continue;
        JsonReader json = reader(text, 1 + random() % 9);
        Json expected = Json::parse(text);
        drop_literals(expected);
        ASSERT_EQ(copy(json), expected) << text;
    }
    EXPECT_GT(taken, rounds / 8U);
    EXPECT_LT(taken, rounds * 7U / 8U);
}

}  // namespace
}  // namespace halftone
