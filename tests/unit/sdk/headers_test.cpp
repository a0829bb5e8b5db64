// The SDK's headers as a stranger meets them: each compiles alone, in C and C++, by either compiler, and says
// above every function on which thread it may be called.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

fs::path include_folder() {
    return fs::path(HALFTONE_SOURCE_DIR) / "sdk" / "include";
}

std::vector<fs::path> headers(const std::string& extension) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(include_folder()))
        if (entry.path().extension() == extension)
            found.push_back(entry.path().lexically_relative(include_folder()));
    std::sort(found.begin(), found.end());
    return found;
}

std::string text_of(const fs::path& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

bool has_compiler(const std::string& compiler) {
    return std::system(("command -v " + compiler + " >/dev/null 2>&1").c_str()) == 0;
}

// Compiles each header as the only thing in a file of its own, all files by one call.
void expect_alone(const std::string& compiler, const std::string& standard, const std::string& language,
                  const std::vector<fs::path>& list) {
    if (!has_compiler(compiler)) GTEST_SKIP() << "no " << compiler << " on this machine";
    ASSERT_FALSE(list.empty());
    const fs::path folder = fs::path(testing::TempDir()) / ("halftone-headers-" + compiler + "-" + standard);
    fs::create_directories(folder);
    std::string files;
    for (size_t i = 0; i < list.size(); ++i) {
        const fs::path file = folder / (std::to_string(i) + "." + language);
        // Twice, for the include guard; ISO C wants at least one declaration in a file.
        std::ofstream(file) << "#include <" << list[i].generic_string() << ">\n#include <"
                            << list[i].generic_string() << ">\nextern int one_declaration;\n";
        files += " '" + file.string() + "'";
    }
    const fs::path messages = folder / "messages";
    const std::string command =
        compiler + " -std=" + standard + " -fsyntax-only -Wall -Wextra -Wpedantic -Werror -I'" +
        include_folder().string() + "'" + files + " >'" + messages.string() + "' 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << command << '\n' << text_of(messages);
    fs::remove_all(folder);
}

std::vector<fs::path> cpp_headers() {
    std::vector<fs::path> all = headers(".h");
    const std::vector<fs::path> more = headers(".hpp");
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

TEST(Headers, CompileAloneAsC11WithGcc) {
    expect_alone("gcc", "c11", "c", headers(".h"));
}

TEST(Headers, CompileAloneAsC11WithClang) {
    expect_alone("clang", "c11", "c", headers(".h"));
}

TEST(Headers, CompileAloneAsCpp20WithGcc) {
    expect_alone("g++", "c++20", "cpp", cpp_headers());
}

TEST(Headers, CompileAloneAsCpp20WithClang) {
    expect_alone("clang++", "c++20", "cpp", cpp_headers());
}

// ---------------------------------------------------------------------------------------------- thread tags

const std::regex tag(R"(\[(any|one|driver|waits)\])");

// Names of function pointers without a tag in the comment above them or above their struct.
std::vector<std::string> untagged(const std::string& header) {
    static const std::regex pointer(R"(\(\*(\w+)\)\s*\()");
    std::vector<std::string> names;
    bool in_comment = false, struct_tagged = false;
    std::string comment, line;
    std::istringstream lines(header);
    while (std::getline(lines, line)) {
        const size_t first = line.find_first_not_of(' ');
        if (in_comment || (first != std::string::npos && line.compare(first, 2, "/*") == 0)) {
            if (!in_comment) comment.clear();
            comment += line + '\n';
            in_comment = line.find("*/") == std::string::npos;
            if (in_comment) continue;
            line.erase(0, line.find("*/") + 2);
        }
        if (line.starts_with("typedef struct")) struct_tagged = std::regex_search(comment, tag);
        std::smatch match;
        if (std::regex_search(line, match, pointer) && !struct_tagged && !std::regex_search(comment, tag))
            names.push_back(match[1]);
        // A comment belongs to the declaration that follows it, which may run over several lines.
        if (line.find(';') != std::string::npos || line.starts_with("typedef struct")) comment.clear();
    }
    return names;
}

TEST(ThreadTags, StandAboveEveryFunctionOfTheContract) {
    size_t functions = 0;
    for (const fs::path& header : headers(".h")) {
        const std::string text = text_of(include_folder() / header);
        static const std::regex pointer(R"(\(\*\w+\)\s*\()");
        functions += static_cast<size_t>(
            std::distance(std::sregex_iterator(text.begin(), text.end(), pointer), std::sregex_iterator()));
        for (const std::string& name : untagged(text))
            ADD_FAILURE() << header.generic_string() << ": " << name
                          << "() has no [any], [one], [driver] or [waits]";
    }
    EXPECT_GT(functions, 60u) << "the headers were not read";
}

TEST(ThreadTags, AreMissedWhereTheyAreMissing) {
    EXPECT_EQ(untagged("typedef struct a {\n    /* [any] Fine. */\n    int (*f)(void);\n\n"
                       "    /* Says nothing of threads. */\n    void (*g)(int,\n        int);\n    void* "
                       "(*h)(void)X;\n} a;\n"),
              (std::vector<std::string>{"g", "h"}));
    EXPECT_TRUE(untagged("/* All of them are [one]. */\ntypedef struct a {\n    int (*f)(void);\n"
                         "    void (*g)(void);\n} a;\n")
                    .empty());
    EXPECT_EQ(
        untagged("/* [one] */\ntypedef struct a {\n    int f;\n} a;\n/* Nothing. */\ntypedef struct b {\n"
                 "    int (*g)(void);\n} b;\n"),
        (std::vector<std::string>{"g"}));
}

}  // namespace
