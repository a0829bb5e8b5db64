#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>

#include "core/pipeline/schema.hpp"
#include "tests/unit/pipeline/pipelines.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;

std::string cell(std::string text) {
    for (size_t at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2))
        text.insert(at, 1, '\\');
    return text;
}

std::string table_of(std::string_view section) {
    std::string table = "| Key | Type | Default | Meaning | Example |\n|---|---|---|---|---|\n";
    for (const SchemaKey& row : pipeline_schema())
        if (row.section == section)
            table +=
                fmt::format("| `{}` | {} | {} | {}{} | `{}` |\n", row.key, cell(row.type), cell(row.fallback),
                            cell(row.help), row.available ? "" : " *(not available yet)*", cell(row.example));
    return table;
}

struct Refreshed {
    std::string page;
    size_t tables = 0;
};

// The page with every table between its markers as the schema makes it.
Refreshed refreshed(const std::string& page) {
    const std::string begin = "<!-- keys: ", end = "<!-- end of keys -->\n";
    Refreshed result;
    size_t done = 0;
    while (true) {
        const size_t at = page.find(begin, done);
        if (at == std::string::npos) break;
        const size_t line_end = page.find('\n', at) + 1, close = page.find(end, at);
        if (close == std::string::npos) throw std::runtime_error("a table is not closed with " + end);
        const std::string section = page.substr(at + begin.size(), page.find(" -->", at) - at - begin.size());
        if (!schema::find_section(section)) throw std::runtime_error("no section " + section);
        result.page += page.substr(done, line_end - done) + table_of(section);
        ++result.tables;
        done = close;
    }
    result.page += page.substr(done);
    return result;
}

TEST(PipelinePage, HasTheTablesOfTheSchema) {
    const fs::path path = source_root() / "docs/pipeline.md";
    const std::string page = content_of(path);
    const Refreshed wanted = refreshed(page);
    if (std::getenv("HALFTONE_REFRESH_DOCS") && wanted.page != page) {
        std::ofstream(path, std::ios::binary) << wanted.page;
        GTEST_SKIP() << "wrote " << path;
    }
    EXPECT_TRUE(wanted.page == page) << "docs/pipeline.md is behind the schema; HALFTONE_REFRESH_DOCS=1 "
                                        "test_pipeline --gtest_filter='PipelinePage.*' writes it anew";
    size_t sections_with_keys = 0;
    for (const schema::Section& section : schema::sections())
        sections_with_keys += !schema::key_names(section.name).empty();
    EXPECT_EQ(wanted.tables, sections_with_keys);
}

TEST(PipelinePage, MentionsEverySection) {
    const std::string page = content_of(source_root() / "docs/pipeline.md");
    for (const schema::Section& section : schema::sections())
        EXPECT_NE(page.find(fmt::format("`{}`", section.title())), std::string::npos) << section.title();
}

TEST(Examples, AreReadWithoutAWarning) {
    size_t examples = 0;
    for (const fs::directory_entry& entry : fs::directory_iterator(source_root() / "docs/examples")) {
        if (entry.path().extension() != ".toml") continue;
        ++examples;
        const Pipeline p = read_pipeline(entry.path());
        EXPECT_TRUE(p.warnings.empty()) << entry.path();
        EXPECT_EQ(fingerprint(parse_pipeline(print_pipeline(p), "printed", "")), fingerprint(p))
            << entry.path();
    }
    EXPECT_GE(examples, 3u);
}

}  // namespace
}  // namespace halftone
