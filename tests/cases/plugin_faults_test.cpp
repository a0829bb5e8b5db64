// A plugin that crashes, ends the process, throws or never returns is named in a sentence: library, function
// and tensor.

#include <algorithm>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

class PluginFaults : public testing::Test {
  protected:
    void SetUp() override {
        std::filesystem::create_directory(plugins_);
        for (const char* id : {"faulty", "tiles"})
            std::filesystem::copy_file(std::filesystem::path(HALFTONE_FIXTURE_PLUGINS) / library(id),
                                       plugins_ / library(id));
        write_checkpoint(folder_ / "in.safetensors",
                         {random_tensor("blocks.0.proj.weight", HT_DTYPE_BF16, {64, 48}, 1)});
        write_text(folder_ / "p.toml",
                   "[input]\npath = \"in.safetensors\"\n[output]\npath = \"out.safetensors\"\n[model]\n"
                   "profile = \"none\"\n[quantize]\nformat = \"faulty\"\n");
    }

    static std::string library(const std::string& id) { return "format-" + id + ".so"; }
    std::string path() const { return (plugins_ / library("faulty")).string(); }

    Finished with_fault(const std::string& fault, std::vector<std::string> arguments,
                        std::function<void(int)> meanwhile = {}) const {
        arguments.insert(arguments.end(), {"--plugin-dir", plugins_.string()});
        return halftone(arguments,
                        {.environment = {{"HALFTONE_TEST_FAULT", fault}}, .meanwhile = std::move(meanwhile)});
    }
    Finished run(const std::string& fault, std::function<void(int)> meanwhile = {}) const {
        return with_fault(fault, {"run", (folder_ / "p.toml").string()}, std::move(meanwhile));
    }

    // Exit code 4, one sentence with all of these, and nothing left behind.
    void expect_named(const Finished& finished, const std::vector<std::string>& parts) const {
        const bool leaks = sanitized && has(finished.err, "LeakSanitizer");  // what was thrown over
        EXPECT_TRUE(finished.code == 4 || leaks)
            << finished.code << finished.err << "signal " << finished.signal;
        for (const std::string& part : parts)
            EXPECT_TRUE(has(finished.err, part)) << "'" << part << "' in: " << finished.err;
        EXPECT_EQ(names_in(folder_.path()),
                  (std::vector<std::string>{"in.safetensors", "p.toml", "plugins"}));
    }

    TemporaryFolder folder_;
    std::filesystem::path plugins_ = folder_ / "plugins";
};

TEST_F(PluginFaults, WithoutAFaultTheFixtureIsSound) {
    const Finished finished = run("none");
    EXPECT_EQ(finished.code, 0) << finished.err;
}

TEST_F(PluginFaults, ACrashInAFunctionIsNamedWithItsTensor) {
    if (sanitized) GTEST_SKIP() << "the sanitizer's own report stands instead";
    for (const auto& [what, word] : {std::pair("null", "SIGSEGV"), {"abort", "SIGABRT"}, {"deep", "SIGSEGV"}})
        for (const std::string function : {"encode", "fit_pass", "companion", "prepare"})
            expect_named(run(function + "=" + what), {"error: format 'faulty' (" + path() + ") crashed in " +
                                                          function + "() of 'blocks.0.proj.weight'",
                                                      word, "the plugin is at fault"});
}

TEST_F(PluginFaults, AnEndOfTheProcessIsNamed) {
    for (const std::string how : {"exit", "_exit", "quick_exit"}) {
        if (sanitized && how == "_exit") continue;  // theirs
        for (const std::string code : {"0", "7"})
            expect_named(run("encode=" + how + ":" + code),
                         {"error: format 'faulty' (" + path() +
                              ") ended the process in encode() of 'blocks.0.proj.weight': it called ",
                          how == "_exit" ? "_exit()" : "exit()"});
    }
}

TEST_F(PluginFaults, AnExceptionThatLeavesAFunctionIsAnErrorOfThePlugin) {
    for (const std::string function : {"encode", "companion", "prepare", "fit_band"})
        expect_named(run(function + "=throw"), {"blocks.0.proj.weight: format 'faulty' (" + path() + "): " +
                                                function + "() let an exception out: no licence file"});
}

TEST_F(PluginFaults, AnExceptionThatNobodyCanCatchIsNamed) {
    expect_named(run("encode=throw-noexcept"),
                 {"format 'faulty' (" + path() + ") ended the process in encode() of 'blocks.0.proj.weight'",
                  "it threw an exception that nothing could catch: no licence file"});
}

TEST_F(PluginFaults, APlanThatIsNotThereIsAnError) {
    expect_named(run("plan=null"), {"blocks.0.proj.weight", path(), "prepare() returned HT_OK and no plan"});
}

TEST_F(PluginFaults, AWriteBeyondABufferEndsTheRun) {
    for (const std::string function : {"encode", "companion", "fit_pass", "fit_band"})
        for (const std::string bytes : {"0", "1", "63", "64", "127", "255"})
            expect_named(run(function + "=past:" + bytes),
                         {"blocks.0.proj.weight: format 'faulty' (" + path() + "): " + function +
                          "() wrote after the "});
}

TEST_F(PluginFaults, TheSentenceIsAnObjectWhereTheLogIsJson) {
    const Finished finished =
        with_fault("encode=exit", {"run", (folder_ / "p.toml").string(), "--log", "json", "--no-progress"});
    EXPECT_EQ(finished.code, 4);
    EXPECT_TRUE(has(finished.err, R"({"level":"error","text":"format 'faulty')")) << finished.err;
    EXPECT_TRUE(has(finished.err, "authors\"}\n")) << finished.err;
}

TEST_F(PluginFaults, ALibraryThatFailsWhileItIsLoadedIsNamed) {
    for (const std::string what : {"throw", "exit:0", "_exit:0", "abort"}) {
        if (sanitized && what == "_exit:0") continue;
        const std::string fault = "constructor=" + what;
        const std::string sentence = "format 'faulty' (" + path() + ") ";
        expect_named(run(fault), {sentence, " while loading: "});
        expect_named(with_fault(fault, {"plugins", "info", "faulty"}), {sentence, " while loading: "});
    }
}

TEST_F(PluginFaults, CommandsThatOnlyLookNameItToo) {
    ASSERT_EQ(run("none").code, 0);
    const std::string out = (folder_ / "out.safetensors").string(),
                      in = (folder_ / "in.safetensors").string();
    const std::vector<std::vector<std::string>> commands = {
        {"verify", out},
        {"dequantize", out, "-o", (folder_ / "back.safetensors").string()},
        {"compare", in, out},
        {"check", "--for", "comfyui", out}};
    for (const std::vector<std::string>& command : commands) {
        const Finished sound = with_fault("none", command);
        EXPECT_NE(sound.code, 4) << command[0] << ": " << sound.err;
        std::filesystem::remove(folder_ / "back.safetensors");
        for (const std::string function : {"recognize", "decode"}) {
            if (function == "decode" && command[0] == "check") continue;  // looks at headers only
            const Finished finished = with_fault(function + "=exit:0", command);
            EXPECT_EQ(finished.code, 4) << command[0] << ": " << finished.out << finished.err;
            EXPECT_TRUE(has(finished.err, "error: format 'faulty' (" + path() + ") ended the process in " +
                                              function + "() of 'blocks.0.proj"))
                << command[0] << ": " << finished.err;
        }
        const Finished loading = with_fault("constructor=exit:0", command);
        EXPECT_EQ(loading.code, 4) << command[0];
        EXPECT_TRUE(has(loading.err, path() + ") ended the process while loading")) << loading.err;
    }
    EXPECT_EQ(names_in(folder_.path()),
              (std::vector<std::string>{"in.safetensors", "out.safetensors", "p.toml", "plugins"}));
}

TEST_F(PluginFaults, TheListShowsALibraryThatCannotBeLoadedAndGoesOn) {
    for (const std::string what : {"throw", "exit:0", "_exit:0", "abort", "kill"}) {
        const Finished list = with_fault("constructor=" + what, {"plugins", "list"});
        EXPECT_EQ(list.code, 0) << list.err;
        EXPECT_TRUE(has(list.out, "whole numbers from -3 to 3")) << list.out << "the sound one beside it";
        EXPECT_TRUE(has(list.out, "cannot be used: ")) << list.out;
        const Finished json = with_fault("constructor=" + what, {"plugins", "list", "--json"});
        EXPECT_TRUE(has(json.out, "\"problem\": ")) << json.out;
    }
    const Finished list = with_fault("constructor=throw", {"plugins", "list"});
    EXPECT_TRUE(has(list.out, "no licence file")) << list.out;
}

TEST_F(PluginFaults, TheListShowsALibraryThatDoesNotReturn) {
    const Finished list = with_fault("constructor=hang", {"plugins", "list", "--timeout", "1"});
    EXPECT_EQ(list.code, 0) << list.err;
    EXPECT_TRUE(has(list.out, "cannot be used: loading it has not returned for 1 s")) << list.out;
    EXPECT_TRUE(has(list.out, "whole numbers from -3 to 3")) << list.out;
}

// Sends a signal, waits until it is answered, and sends another one.
std::function<void(int)> interrupt_twice(const std::filesystem::path& started) {
    return [started](int process) {
        const auto wait = [&](const std::function<bool()>& done) {
            while (!done() && kill(process, 0) == 0)
                usleep(20'000);
        };
        wait([&] { return std::filesystem::exists(started); });
        usleep(100'000);
        kill(process, SIGINT);
        usleep(2'500'000);
        kill(process, SIGINT);
    };
}

TEST_F(PluginFaults, CtrlCSaysWhatItIsWaitingForAndTheSecondEndsIt) {
    const std::filesystem::path started = folder_ / "started";
    setenv("HALFTONE_TEST_STARTED", started.c_str(), 1);
    for (const auto& [place, words] :
         {std::pair(std::string("encode"), "returns from encode() of 'blocks.0.proj.weight'"),
          {"constructor", "is done with loading"}}) {
        std::filesystem::remove(started);
        const Finished finished = run(place + "=hang", interrupt_twice(started));
        EXPECT_EQ(finished.code, 5) << finished.err;
        EXPECT_TRUE(has(finished.err, "warning: stopping when format 'faulty' (" + path() + ") " + words +
                                          "; Ctrl-C again to stop at once"))
            << finished.err;
        std::filesystem::remove(started);
        EXPECT_EQ(names_in(folder_.path()),
                  (std::vector<std::string>{"in.safetensors", "p.toml", "plugins"}));
    }
    unsetenv("HALFTONE_TEST_STARTED");
}

}  // namespace
}  // namespace halftone::test
