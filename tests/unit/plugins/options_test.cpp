#include "plugins/options.hpp"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <optional>

#include <halftone/plugin.hpp>

#include "tests/unit/plugins/support.hpp"

namespace halftone {
namespace {

using testing_plugins::expect_failure;
using testing_plugins::failure;

constexpr const char* shapes[] = {"tensor", "row", "block", nullptr};

constexpr ht_option rows[] = {
    flag("nested", "true", "quantize the scales too"),
    whole("block_size", "128", 1, 4096, "edge of a tile"),
    real("share", "0.05", 0, 1, "share of columns"),
    bytes("cache", "64MiB", 1024, 1073741824, "how much to keep"),
    text("note", "hello, world", "written into the file"),
    choice("scaling", "tensor", shapes, "what shares one scale"),
    list("names", "a, b", "some names"),
    whole("any", "-5", 0, 0, "without a range"),
    real("ratio", "1e-3", 0, std::numeric_limits<double>::infinity(), "one-sided"),
};
constexpr auto row_pointers = pointers(rows);

OptionTable table() {
    return {row_pointers.data(), row_pointers.size(), "format-int8.so"};
}

OptionValues resolve(const GivenOptions& given) {
    return OptionValues::resolve(table(), given, "format 'int8'");
}

GivenValue at(decltype(GivenValue::value) value) {
    return {std::move(value), "flux.toml:12:3"};
}

const ht_value& value(const OptionValues& values, size_t i) {
    return *values.abi()[i];
}

TEST(Options, AreTheirDefaultsWhereNothingIsGiven) {
    const OptionValues values = resolve({});
    EXPECT_EQ(value(values, 0).whole, 1);
    EXPECT_EQ(value(values, 1).whole, 128);
    EXPECT_EQ(value(values, 2).real, 0.05);
    EXPECT_EQ(value(values, 3).whole, 64 << 20);
    EXPECT_STREQ(value(values, 4).text, "hello, world");
    EXPECT_STREQ(value(values, 5).text, "tensor");
    EXPECT_EQ(value(values, 5).whole, 0);
    ASSERT_EQ(value(values, 6).n_items, 2u);
    EXPECT_STREQ(value(values, 6).items[0], "a");
    EXPECT_STREQ(value(values, 6).items[1], "b");
    EXPECT_EQ(value(values, 7).whole, -5);
    for (size_t i = 0; i < std::size(rows); ++i) {
        EXPECT_EQ(value(values, i).size, sizeof(ht_value));
        EXPECT_EQ(value(values, i).type, rows[i].type);
        EXPECT_NE(value(values, i).text, nullptr);
    }
    EXPECT_EQ(values.summary(), "");
}

TEST(Options, TakeWhatIsGiven) {
    const OptionValues values = resolve({{"nested", at(false)},
                                         {"block_size", at(int64_t{64})},
                                         {"share", at(int64_t{1})},
                                         {"cache", at(std::string("2KiB"))},
                                         {"note", at(std::string(""))},
                                         {"scaling", at(std::string("block"))},
                                         {"names", at(std::vector<std::string>{"x", "y \"z\""})}});
    EXPECT_EQ(value(values, 0).whole, 0);
    EXPECT_EQ(value(values, 1).whole, 64);
    EXPECT_EQ(value(values, 2).real, 1.0);
    EXPECT_EQ(value(values, 3).whole, 2048);
    EXPECT_STREQ(value(values, 4).text, "");
    EXPECT_EQ(value(values, 5).whole, 2);
    EXPECT_STREQ(value(values, 5).text, "block");
    EXPECT_STREQ(value(values, 6).items[1], "y \"z\"");
    EXPECT_EQ(
        values.summary(),
        R"(nested=false block_size=64 share=1.0 cache=2048 note="" scaling=block names=["x", "y \"z\""])");
    EXPECT_EQ(value(resolve({{"cache", at(int64_t{4096})}}), 3).whole, 4096);
}

TEST(Options, AreTheSameAfterBeingWrittenAsToml) {
    const OptionValues values = resolve({{"share", at(0.1)}, {"scaling", at(std::string("row"))}});
    const std::vector<std::pair<std::string, std::string>> expected = {{"nested", "true"},
                                                                       {"block_size", "128"},
                                                                       {"share", "0.1"},
                                                                       {"cache", "67108864"},
                                                                       {"note", "\"hello, world\""},
                                                                       {"scaling", "\"row\""},
                                                                       {"names", "[\"a\", \"b\"]"},
                                                                       {"any", "-5"},
                                                                       {"ratio", "0.001"}};
    EXPECT_EQ(values.as_toml(), expected);
    EXPECT_EQ(values.summary(), "share=0.1 scaling=row");
}

TEST(Options, AnUnknownNameIsToldWithItsPlaceAndASuggestion) {
    expect_failure(
        Exit::usage,
        {"flux.toml:12:3: unknown option 'blok_size' for format 'int8'; did you mean 'block_size'?",
         "its options are: nested, block_size, share"},
        [] {
            resolve({{"blok_size", at(int64_t{64})}});
        });
    const std::string message = failure(Exit::usage, [] { resolve({{"zzzzzz", at(true)}}); });
    EXPECT_EQ(message.find("did you mean"), std::string::npos) << message;
    expect_failure(Exit::usage, {"format 'plain' has no options"}, [] {
        OptionValues::resolve({nullptr, 0, "x"}, {{"a", at(true)}}, "format 'plain'");
    });
}

TEST(Options, AWrongTypeIsToldWithWhatWasWantedAndWhatWasGiven) {
    const struct {
        const char* name;
        decltype(GivenValue::value) given;
        const char* message;
    } cases[] = {
        {"nested", int64_t{1}, "option 'nested' of format 'int8' must be true or false, not 1"},
        {"nested", std::string("yes"), "must be true or false, not the text \"yes\""},
        {"block_size", 128.0, "option 'block_size' of format 'int8' must be a whole number, not 128"},
        {"block_size", std::string("128"), "must be a whole number, not the text \"128\""},
        {"block_size", true, "must be a whole number, not true"},
        {"block_size", int64_t{0}, "must be between 1 and 4096, not 0"},
        {"block_size", int64_t{4097}, "must be between 1 and 4096, not 4097"},
        {"share", std::string("much"), "must be a number, not the text \"much\""},
        {"share", 1.5, "must be between 0 and 1, not 1.5"},
        {"share", std::nan(""), "must be a finite number, not nan"},
        {"ratio", -1.0, "must be at least 0, not -1"},
        {"cache", std::string("lots"),
         "must be a size in bytes such as 65536 or \"64MiB\", not the text \"lots\""},
        {"cache", int64_t{-1}, "must be a size in bytes such as 65536 or \"64MiB\", not -1"},
        {"cache", int64_t{10}, "must be between 1 KiB and 1 GiB, not 10"},
        {"note", int64_t{3}, "must be a text, not 3"},
        {"note", std::string("a\0b", 3), "must not contain a NUL"},
        {"note", std::string("\xff"), "must be UTF-8"},
        {"scaling", int64_t{1}, "must be one of \"tensor\", \"row\", \"block\", not 1"},
        {"scaling", std::string("rov"),
         "must be one of \"tensor\", \"row\", \"block\", not the text \"rov\"; did you mean 'row'?"},
        {"names", std::string("a"), "must be a list of texts, not the text \"a\""},
        {"note", std::vector<std::string>{"a"}, "must be a text, not a list"},
    };
    for (const auto& one : cases)
        expect_failure(Exit::usage, {"flux.toml:12:3: ", one.message}, [&] {
            resolve({{one.name, at(one.given)}});
        });
}

constexpr const char* lengths[] = {"32", "64", "1.5", "tile", "block=tile", nullptr};
constexpr ht_option length[] = {choice("length", "32", lengths, "of a run")};
constexpr auto length_pointers = pointers(length);

OptionValues with_length(decltype(GivenValue::value) given) {
    return OptionValues::resolve({length_pointers.data(), length_pointers.size(), "format-acme.so"},
                                 {{"length", at(std::move(given))}}, "format 'acme'");
}

TEST(Options, ANumberIsTheChoiceThatIsWrittenLikeIt) {
    EXPECT_STREQ(value(with_length(int64_t{64}), 0).text, "64");
    EXPECT_EQ(value(with_length(int64_t{64}), 0).whole, 1);
    EXPECT_EQ(with_length(int64_t{64}).as_toml()[0].second, "\"64\"");
    EXPECT_STREQ(value(with_length(1.5), 0).text, "1.5");
    EXPECT_STREQ(value(with_length(std::string("64")), 0).text, "64");
    for (const int64_t other : {48, -64, 6, 640})
        expect_failure(Exit::usage,
                       {"must be one of \"32\", \"64\", \"1.5\", \"tile\", not " + std::to_string(other)},
                       [&] { with_length(other); });
    expect_failure(Exit::usage, {"not true"}, [] { with_length(true); });
}

TEST(Options, AnotherNameOfAChoiceIsThatChoice) {
    const OptionValues values = with_length(std::string("block"));
    EXPECT_STREQ(value(values, 0).text, "tile");
    EXPECT_EQ(value(values, 0).whole, 3);
    EXPECT_EQ(values.as_toml()[0].second, "\"tile\"");
    EXPECT_EQ(values.summary(), "length=tile");
    EXPECT_EQ(choices_of(length[0]), (std::vector<std::string>{"32", "64", "1.5", "tile"}));
    // What stands in the table is no name itself.
    expect_failure(Exit::usage, {"must be one of"}, [] { with_length(std::string("block=tile")); });
}

TEST(Options, ValuesOutliveTheirTable) {
    std::optional<OptionTable> local = table();
    const OptionValues values = OptionValues::resolve(*local, {}, "format 'int8'");
    local.reset();
    EXPECT_EQ(values.as_toml()[0].first, "nested");
    EXPECT_STREQ(value(values, 5).text, "tensor");
}

TEST(Options, RecognizedValuesAreWrittenInPlace) {
    OptionValues values = resolve({});
    OptionsOut out(rows, values.writable());
    out.set_whole("block_size", 64);
    out.set_choice("scaling", "row");
    out.set_flag("nested", false);
    EXPECT_EQ(values.summary(), "nested=false block_size=64 scaling=row");
    const Options read(rows, values.abi());
    EXPECT_EQ(read.whole("block_size"), 64);
    EXPECT_EQ(read.choice("scaling"), "row");
    EXPECT_THROW(read.whole("scaling"), std::logic_error);
}

TEST(OptionTables, ThatMakeNoSenseAreRefusedWithTheRowsName) {
    static constexpr const char* twice[] = {"a", "a", nullptr};
    static constexpr const char* none[] = {nullptr};
    static constexpr const char* stray[] = {"a", "b=c", nullptr};
    static constexpr const char* clash[] = {"a", "b", "b=a", nullptr};
    static constexpr const char* early[] = {"b=a", "a", nullptr};
    static constexpr const char* unnamed[] = {"a", "=a", nullptr};
    const auto row = [](ht_type type, const char* name, const char* fallback, double least = 0,
                        double most = 0, const char* const* choices = nullptr, const char* help = "help") {
        return ht_option{sizeof(ht_option), type, name, fallback, help, least, most, choices};
    };
    const struct {
        ht_option row;
        const char* message;
    } cases[] = {
        {row(HT_INT, "Block", "1"), "option 'Block' cannot be used: its name is not of the form"},
        {row(HT_INT, "", "1"), "its name is not of the form"},
        {row(HT_INT, nullptr, "1"), "option 0 of its table has no name"},
        {row(HT_INT, "seed", "1"), "option 'seed' cannot be used: its name is reserved"},
        {row(99, "x", "1"), "it has the unknown type 99"},
        {row(HT_INT, "x", nullptr), "it has no default"},
        {row(HT_INT, "x", "1", 0, 0, nullptr, nullptr), "it has no help"},
        {row(HT_INT, "x", "1", 0, 0, nullptr, "two\nlines"), "it has no help of one line"},
        {row(HT_INT, "x", "one"), "its default must be a whole number, not the text \"one\""},
        {row(HT_INT, "x", "12x"), "its default must be a whole number, not the text \"12x\""},
        {row(HT_INT, "x", "5", 10, 20), "its default must be between 10 and 20, not 5"},
        {row(HT_INT, "x", "5", 20, 10), "its range from 20 to 10 is none"},
        {row(HT_BOOL, "x", "maybe"), "its default must be true or false"},
        {row(HT_FLOAT, "x", ""), "its default must be a number"},
        {row(HT_SIZE, "x", "big"), "its default must be a size"},
        {row(HT_CHOICE, "x", "a", 0, 0, nullptr), "it has no choices"},
        {row(HT_CHOICE, "x", "a", 0, 0, none), "it has no choices"},
        {row(HT_CHOICE, "x", "a", 0, 0, twice), "a choice is there twice"},
        {row(HT_CHOICE, "x", "a", 0, 0, stray),
         "'b' is another name for 'c', which is not one of its choices"},
        {row(HT_CHOICE, "x", "a", 0, 0, clash), "a choice is there twice"},
        {row(HT_CHOICE, "x", "a", 0, 0, early), "other names for choices come after all choices"},
        {row(HT_CHOICE, "x", "a", 0, 0, unnamed), "a choice is not a word"},
        {row(HT_CHOICE, "x", "b", 0, 0, shapes), "its default must be one of \"tensor\", \"row\", \"block\""},
    };
    for (const auto& one : cases) {
        const ht_option* pointer = &one.row;
        expect_failure(Exit::plugin, {"format-int8.so: ", one.message},
                       [&] { OptionTable(&pointer, 1, "format-int8.so"); });
    }
    const ht_option good = row(HT_INT, "x", "1");
    const ht_option* both[] = {&good, &good};
    expect_failure(Exit::plugin, {"option 'x' is there twice"}, [&] { OptionTable(both, 2, "f"); });
    const ht_option* gap[] = {&good, nullptr};
    expect_failure(Exit::plugin, {"option 1 of its table is missing"}, [&] { OptionTable(gap, 2, "f"); });
    expect_failure(Exit::plugin, {"claims 3 options but has no option table"},
                   [&] { OptionTable(nullptr, 3, "f"); });
    ht_option short_row = good;
    short_row.size = 8;
    const ht_option* short_at = &short_row;
    expect_failure(Exit::plugin, {"claims a size of 8 bytes"}, [&] { OptionTable(&short_at, 1, "f"); });
}

TEST(OptionTables, FromANewerSdkAreReadAsFarAsKnown) {
    struct {
        ht_option row;
        uint64_t news[4];
    } longer{rows[1], {1, 2, 3, 4}};
    longer.row.size = sizeof longer;
    const ht_option* pointer = &longer.row;
    const OptionTable table(&pointer, 1, "f");
    EXPECT_STREQ(table.row(0).name, "block_size");
}

TEST(OptionTables, MayNotUseAnyKeyOfThePipeline) {
    EXPECT_GE(reserved_option_names().size(), 29u);
    for (std::string_view name : reserved_option_names()) {
        const std::string text(name);
        const ht_option row{sizeof(ht_option), HT_TEXT, text.c_str(), "", "help", 0, 0, nullptr};
        const ht_option* pointer = &row;
        expect_failure(Exit::plugin, {"option '" + text + "'", "reserved"},
                       [&] { OptionTable(&pointer, 1, "f"); });
    }
}

}  // namespace
}  // namespace halftone
