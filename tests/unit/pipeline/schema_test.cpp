#include "core/pipeline/schema.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <set>

#include "core/pipeline/document.hpp"
#include "core/pipeline/section_values.hpp"
#include "tests/unit/pipeline/pipelines.hpp"

namespace halftone {
namespace {

Entry entry_from(const schema::Key& key, const std::string& value) {
    return {std::string(key.name), {}, parse_value(value, {}).value()};
}

TEST(Schema, HoldsEachKeyOnceInASectionThatExists) {
    std::set<std::string> seen;
    for (const schema::Key& key : schema::keys()) {
        EXPECT_TRUE(schema::find_section(key.section)) << key.section;
        EXPECT_TRUE(seen.insert(key.title()).second) << key.title();
        EXPECT_FALSE(key.help.empty()) << key.title();
        EXPECT_FALSE(key.help.ends_with('.')) << key.title();
        EXPECT_TRUE(key.example.starts_with(key.name)) << key.title();
    }
}

TEST(Schema, HasDefaultsThatAreValuesOfTheirKeys) {
    for (const schema::Key& key : schema::keys()) {
        if (key.fallback.empty()) {
            EXPECT_FALSE(key.fallback_note.empty()) << key.title() << " has neither default nor note";
            continue;
        }
        EXPECT_TRUE(parse_value(std::string(key.fallback), {})) << key.title();
        EXPECT_NO_THROW(check_value(key, entry_from(key, std::string(key.fallback)))) << key.title();
    }
}

TEST(Schema, HasExamplesThatAreAcceptedOnceTheirKeyIsAvailable) {
    for (schema::Key key : schema::keys()) {
        const std::string example(key.example);
        const Entry entry = entry_from(key, example.substr(example.find('=') + 1));
        if (!key.available) {
            EXPECT_THROW(check_value(key, entry), Error) << key.title();
        }
        key.available = true;
        EXPECT_NO_THROW(check_value(key, entry)) << key.title();
    }
}

TEST(Schema, ReservesItsKeysWhereOptionsOfPluginsStandBesideThem) {
    for (const schema::Key& key : schema::keys())
        if (schema::find_section(key.section)->takes_options) {
            EXPECT_TRUE(is_reserved(key.name)) << key.title() << " could be an option of a plugin too";
        }
}

using Sections = std::map<std::string, std::string>;

std::string toml_of(const Sections& sections) {
    std::string toml;
    for (const auto& [section, body] : sections)
        toml += (section == "rule" ? "[[rule]]\n" : "[" + section + "]\n") + body;
    return toml;
}

// A small pipeline in which the key can be used.
Sections surroundings_of(const schema::Key& key) {
    Sections sections = {
        {"input", "path = \"i\"\n"}, {"output", "path = \"o\"\n"}, {"quantize", "format = \"fp8\"\n"}};
    if (key.section == "rule") {
        if (key.name != "match") sections["rule"] += "match = \"x\"\n";
        if (key.name != "action" && key.name != "format") sections["rule"] += "format = \"fp8\"\n";
    }
    if (key.section == "fallback" && key.name != "format") sections["fallback"] = "format = \"fp8\"\n";
    if (key.name == "optimizer" && key.section != "quantize") sections["quantize"] += "optimizer = \"x\"\n";
    return sections;
}

// Whatever the schema calls available, a pipeline keeps and prints.
TEST(Schema, IsHonouredInEveryAvailableKey) {
    for (const schema::Key& key : schema::keys()) {
        if (!key.available) continue;
        Sections sections = surroundings_of(key);
        std::string& body = sections[std::string(key.section)];
        if (body.starts_with(std::string(key.name) + " =")) body.clear();
        body += std::string(key.example) + "\n";

        const Pipeline p = parsed(toml_of(sections));
        const std::string printed = print_pipeline(p);
        EXPECT_NE(printed.find(std::string(key.name) + " ="), std::string::npos)
            << toml_of(sections) << "gave\n"
            << printed;
        EXPECT_EQ(fingerprint(parsed(printed)), fingerprint(p)) << printed;
    }
}

TEST(Schema, KeepsOutOfRecipesWhatDoesNotChangeTheOutput) {
    for (const schema::Key& key : schema::keys()) {
        if (key.in_recipe || !key.available) continue;
        Sections sections = surroundings_of(key);
        const std::string without = print_pipeline(parsed(toml_of(sections)), {.paths = false});
        std::string& body = sections[std::string(key.section)];
        if (body.starts_with(std::string(key.name) + " =")) body.clear();
        body += std::string(key.example) + "\n";
        EXPECT_EQ(print_pipeline(parsed(toml_of(sections)), {.paths = false}), without) << key.title();
    }
}

TEST(Schema, IsOpenToPrograms) {
    const std::vector<SchemaKey>& rows = pipeline_schema();
    ASSERT_EQ(rows.size(), schema::keys().size());
    const auto kept = std::ranges::find(rows, "kept", &SchemaKey::key);
    ASSERT_NE(kept, rows.end());
    EXPECT_EQ(kept->section, "output");
    EXPECT_EQ(kept->type, "`\"source\"`, `\"bf16\"` or `\"f16\"`");
    EXPECT_EQ(kept->fallback, "`\"source\"`");
    EXPECT_TRUE(kept->available);
    for (const SchemaKey& row : rows) {
        EXPECT_FALSE(row.type.empty()) << row.key;
        EXPECT_FALSE(row.fallback.empty()) << row.key;
    }
}

}  // namespace
}  // namespace halftone
