// What loaders read off the shapes of a model's tensors, and which files are no models.

#include "core/plan/families.hpp"

#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"

namespace halftone {
namespace {

struct Known {
    std::string name, kind;
    bool diffusers = false, companions = false;
    std::vector<std::string> columns, rows;
    std::vector<Tensor> tensors;
};

std::vector<Known> known_headers() {
    std::ifstream file(HALFTONE_FAMILIES);
    std::vector<Known> headers;
    for (const Json& one : Json::parse(file)) {
        Known header{one["name"], one["kind"], one["diffusers"], one["companions"], one["columns"],
                     one["rows"], {}};
        for (const auto& [name, shape] : one["tensors"].items())
            header.tensors.push_back({name, HT_DTYPE_BF16, shape.get<Shape>(), 0, 0, 0});
        std::ranges::sort(header.tensors, {}, &Tensor::name);
        headers.push_back(std::move(header));
    }
    return headers;
}

using Reads = bool (FoundFamily::*)(std::string_view) const;

std::vector<std::string> flagged(const Known& header, const FoundFamily& found, Reads reads) {
    std::vector<std::string> names;
    for (const Tensor& tensor : header.tensors) {
        constexpr std::string_view weight = ".weight";
        if (tensor.shape.size() != 2 || !tensor.name.ends_with(weight)) continue;
        if ((found.*reads)(tensor.name.substr(0, tensor.name.size() - weight.size())))
            names.push_back(tensor.name);
    }
    return names;
}

std::vector<std::string> sorted(std::vector<std::string> names) {
    std::ranges::sort(names);
    return names;
}

TEST(FamiliesFile, TheInstalledOneKnowsWhatIsReadOfEveryHeader) {
    const Families families = Families::standard();
    const std::vector<Known> headers = known_headers();
    ASSERT_EQ(headers.size(), 154U);
    for (const Known& header : headers) {
        const FoundFamily found = families.family_of(header.tensors, "comfyui");
        EXPECT_EQ(flagged(header, found, &FoundFamily::reads_columns), sorted(header.columns)) << header.name;
        EXPECT_EQ(flagged(header, found, &FoundFamily::reads_rows), sorted(header.rows)) << header.name;
        EXPECT_EQ(!flagged(header, found, &FoundFamily::takes_no_companions).empty(), header.companions)
            << header.name;
    }
}

TEST(FamiliesFile, TheSameModelUnderAnotherPrefixIsTheSameModel) {
    const Families families = Families::standard();
    for (Known header : known_headers()) {
        if (header.kind != "diffusion_model" || header.diffusers) continue;
        const FoundFamily plain = families.family_of(header.tensors, "comfyui");
        if (!plain.family || plain.prefix == "model.") continue;
        for (const std::string prefix : {"", "model.diffusion_model.", "diffusion_model.", "net."}) {
            Known moved = header;
            for (Tensor& tensor : moved.tensors)
                tensor.name = prefix + tensor.name.substr(plain.prefix.size());
            std::ranges::sort(moved.tensors, {}, &Tensor::name);
            const FoundFamily found = families.family_of(moved.tensors, "comfyui");
            ASSERT_EQ(found.family, plain.family) << header.name << " under " << prefix;
            EXPECT_EQ(found.prefix, prefix) << header.name;
            EXPECT_EQ(flagged(moved, found, &FoundFamily::reads_columns).size(), header.columns.size());
        }
    }
}

TEST(FamiliesFile, ItTellsWhatIsNoModelInTheLoadersLayout) {
    const Families families = Families::standard();
    // Taken as they are, though diffusers writes them.
    const std::vector<std::string> native = {"qwen_image_diffusers", "qwen_image_21_diffusers"};
    for (const Known& header : known_headers()) {
        const FileKind* kind = families.kind_of(header.tensors, "comfyui");
        const bool is_native = std::ranges::find(native, header.name) != native.end();
        const std::string expected = header.kind == "lora" || header.kind == "vae" ? header.kind
                                     : header.diffusers && !is_native              ? "diffusers"
                                                                                   : "";
        EXPECT_EQ(kind ? kind->id : "", expected) << header.name;
    }
}

std::string problem_of(const std::string& toml) {
    try {
        Families().add(toml, "f.toml");
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::usage);
        return error.what();
    }
    return "nothing wrong";
}

TEST(FamiliesFile, MistakesAreNamedWithTheirPlace) {
    const std::string family = "[[family]]\nid = \"x\"\nloader = \"l\"\n";
    EXPECT_EQ(problem_of(family), "f.toml:1:1: [[family]] needs 'has'");
    EXPECT_EQ(problem_of(family + "has = []\n"),
              "f.toml:4:7: [[family]] has is empty, and would fit every file");
    EXPECT_EQ(problem_of(family + "has = [\"a\"]\ncolumn = [\"b\"]\n"),
              "f.toml:5:1: [[family]] has no key 'column'; did you mean 'columns'?");
    EXPECT_EQ(problem_of(family + "has = [\"a[\"]\n"),
              "f.toml:4:8: [[family]] has: '[' is never closed; a bracket itself is written [[]");
    EXPECT_EQ(problem_of("[[kind]]\nid = \"x\"\nloader = \"l\"\nhas = [\"a\"]\n"),
              "f.toml:1:1: [[kind]] needs 'says'");
    EXPECT_EQ(problem_of(family + "has = [\"a\"]\n"), "nothing wrong");
}

TEST(FamiliesFile, AUsersEntriesComeFirst) {
    Families families;
    families.add("[[family]]\nid = \"one\"\nloader = \"l\"\nhas = [\"a.weight\"]\n", "one.toml");
    families.add("[[family]]\nid = \"two\"\nloader = \"l\"\nhas = [\"a.*\"]\ncolumns = [\"a\"]\n",
                 "two.toml");
    const std::vector<Tensor> header = {{"a.weight", HT_DTYPE_BF16, {2, 2}, 8, 0, 0}};
    const FoundFamily found = families.family_of(header, "l");
    ASSERT_NE(found.family, nullptr);
    EXPECT_EQ(found.family->id, "two");
    EXPECT_TRUE(found.reads_columns("a"));
    EXPECT_FALSE(found.reads_rows("a"));
    EXPECT_EQ(families.family_of(header, "another").family, nullptr);
}

}  // namespace
}  // namespace halftone
