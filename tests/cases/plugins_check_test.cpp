// `plugins check` outlives the plugin that it checks.

#include <gtest/gtest.h>

#include "core/base/json.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

std::string fixture(const std::string& name) {
    return std::string(HALFTONE_FIXTURE_PLUGINS) + "/" + name + ".so";
}

Finished check(const std::string& fault, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"plugins", "check", fixture("format-faulty")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return halftone(arguments, {.environment = {{"HALFTONE_TEST_FAULT", fault}}, .meanwhile = {}});
}

// Exit code 4 and a row that failed, with a sentence that has all of these.
void expect_failed(const std::string& fault, const std::vector<std::string>& parts,
                   const std::vector<std::string>& more = {}) {
    const Finished finished = check(fault, more);
    EXPECT_EQ(finished.code, 4) << fault << ": " << finished.out << finished.err << finished.signal;
    EXPECT_TRUE(has(finished.out, "FAILED")) << fault << ": " << finished.out;
    if (sanitized) return;
    for (const std::string& part : parts)
        EXPECT_TRUE(has(finished.out, part)) << fault << ": '" << part << "' in: " << finished.out;
}

TEST(PluginsCheck, PassesASoundFormat) {
    const Finished finished = check("none");
    EXPECT_EQ(finished.code, 0) << finished.out << finished.err;
    EXPECT_TRUE(has(finished.out, "passed, with ")) << finished.out;
}

TEST(PluginsCheck, NamesEveryWriteBeyondABuffer) {
    for (const std::string function : {"encode", "companion", "fit_pass", "fit_band"})
        for (const std::string bytes : {"0", "1", "63", "64", "127", "128", "255", "4096", "1048576"})
            expect_failed(function + "=past:" + bytes, {"calls: ", function + "()", " after the ", "]\n"});
    for (const std::string bytes : {"1", "63", "64", "255", "4096", "1048576"})
        expect_failed("encode=before:" + bytes, {"calls: ", "encode()", " before the ", "]\n"});
}

TEST(PluginsCheck, NamesABufferClaimedAtHalfItsSize) {
    // A loop that writes as much again, as one does that was promised the double.
    expect_failed("fit_band=fill:12288", {"fit_band()", " after the "});
    expect_failed("companion=fill:4", {"companion() wrote after the 4 bytes"});
    expect_failed("companion=fill:70000",
                  {"crashed in companion()", "bytes after the end of the 4 bytes", "]\n"});
}

TEST(PluginsCheck, NamesReadsFarBeyondABuffer) {
    for (const std::string function : {"decode", "load", "encode"})
        for (const std::string bytes : {"4096", "1048576"})
            expect_failed(function + "=read:" + bytes,
                          {"crashed in " + function + "()", " bytes after the end of"});
}

TEST(PluginsCheck, NamesCrashesWithFunctionAndMatrix) {
    for (const std::string function :
         {"prepare", "describe", "fit_pass", "encode", "snap", "decode", "companion", "load", "recognize"})
        for (const auto& [what, word] :
             {std::pair("null", "SIGSEGV"), {"abort", "SIGABRT"}, {"deep", "SIGSEGV"}})
            expect_failed(function + "=" + what,
                          {"calls: crashed in " + function + "()", word, " [", "not be finished"});
}

TEST(PluginsCheck, AMissingReportIsAFailure) {
    for (const std::string how : {"exit:0", "_exit:0", "quick_exit:0", "exit:3"})
        expect_failed("encode=" + how, {"calls: ended the process in encode()", "exit()", " ["});
    expect_failed("encode=kill", {"the process ended with signal 9", " ["});
    expect_failed("encode=throw-noexcept", {"ended the process in encode()", "no licence file"});
    expect_failed("encode=throw", {"encode() let an exception out: no licence file"});
    expect_failed("plan=null", {"prepare() returned HT_OK and no plan"});
}

TEST(PluginsCheck, ACallThatDoesNotReturnIsAFailure) {
    expect_failed("encode=hang", {"calls: has not returned in encode() for 1 s", " ["}, {"--timeout", "1"});
}

TEST(PluginsCheck, ALibraryThatFailsWhileItIsLoadedIsNamed) {
    for (const std::string what : {"throw", "exit:0", "abort", "kill"}) {
        const Finished finished = check("constructor=" + what);
        EXPECT_EQ(finished.code, 4) << what << finished.out << finished.err;
        if (!sanitized) {
            EXPECT_TRUE(has(finished.err, "format-faulty.so")) << finished.err;
        }
    }
    const Finished finished = check("constructor=hang", {"--timeout", "1"});
    EXPECT_EQ(finished.code, 4);
    EXPECT_TRUE(has(finished.err, "has not returned")) << finished.err;
}

TEST(PluginsCheck, TheJsonSaysWhatFailedToo) {
    const Finished finished = check("encode=exit:0", {"--json"});
    EXPECT_EQ(finished.code, 4);
    const Json whole = Json::parse(finished.out);
    EXPECT_EQ(whole.at("passed"), false);
    EXPECT_EQ(whole.at("id"), "faulty");
    size_t failed = 0, unfinished = 0;
    for (const Json& row : whole.at("checks")) {
        failed += row.at("outcome") == "failed";
        unfinished += row.at("outcome") == "not finished";
    }
    EXPECT_EQ(failed, 1u);
    EXPECT_GT(unfinished, 3u);
}

}  // namespace
}  // namespace halftone::test
