// What a host must notice about a library before it uses it. Every message names the file and the reason.
#include "plugins/library.hpp"

#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

#include "plugins/shared_object.hpp"
#include "tests/unit/plugins/support.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;
using namespace testing_plugins;

std::string file_name(const std::string& id) {
    return "format-" + id + SharedObject::suffix();
}

std::shared_ptr<PluginLibrary> load(const std::string& id) {
    return PluginLibrary::load(plugin_file(fixture(file_name(id))), make_host());
}

void expect_refused(const std::string& id, std::vector<std::string> parts) {
    parts.push_back(fixture(file_name(id)).string());
    expect_failure(Exit::plugin, parts, [&] { load(id); });
}

// What fixtures leave behind when they run.
class Trace {
  public:
    Trace() { ::setenv("HALFTONE_FIXTURE_TRACE", path().c_str(), 1); }
    ~Trace() { ::unsetenv("HALFTONE_FIXTURE_TRACE"); }
    std::string text() const {
        std::ostringstream text;
        text << std::ifstream(path()).rdbuf();
        return text.str();
    }

  private:
    fs::path path() const { return folder_.path() / "trace"; }
    TempFolder folder_;
};

TEST(Library, ASoundOneLoads) {
    const auto library = load("sound");
    EXPECT_EQ(library->name(), "format 'sound'");
    EXPECT_STREQ(library->descriptor().version, "1.2.3");
    EXPECT_EQ(library->options().size(), 0u);
    EXPECT_NE(library->culprit().find(file_name("sound")), std::string::npos);
}

TEST(Library, FindsWhatIsBesideIt) {
    EXPECT_EQ(load("needs-neighbour")->name(), "format 'needs-neighbour'");
}

TEST(Library, IsNamedAsTheUserKnowsIt) {
    const std::string message = failure(Exit::plugin, [] { load("undefined-symbol"); });
    EXPECT_EQ(message.find("/proc/"), std::string::npos) << message;
}

TEST(Library, AnotherAbiIsSeenBeforeAnythingOfItRuns) {
    const Trace trace;
    expect_refused("newer-abi", {"made for ABI 2", "speaks ABI 1"});
    EXPECT_EQ(trace.text(), "") << "its constructor has run";
    load("counted");
    EXPECT_EQ(trace.text().substr(0, 1), "o") << "this test would not see a constructor run";
}

TEST(Library, OneThatIsNoPluginIsSeenBeforeAnythingOfItRuns) {
    const Trace trace;
    expect_refused("no-entry", {"exports no halftone_plugin_v1: not a Halftone plugin"});
    EXPECT_EQ(trace.text(), "");
}

TEST(Library, AFileThatIsNoLibrary) {
    expect_refused("not-a-library", {"not a shared library"});
}

TEST(Library, FilesCutOffAnywhereAreRefused) {
    const TempFolder temp;
    std::ostringstream text;
    text << std::ifstream(fixture(file_name("sound")), std::ios::binary).rdbuf();
    const std::string whole = text.str();
    const fs::path path = temp.file(file_name("sound"));
    for (size_t size : {size_t{0}, size_t{3}, size_t{5}, size_t{63}, size_t{64}, size_t{1000},
                        whole.size() / 2, whole.size() - 100}) {
        std::ofstream(path, std::ios::binary | std::ios::trunc)
            .write(whole.data(), static_cast<std::streamsize>(size));
        expect_failure(Exit::plugin, {path.string()},
                       [&] { PluginLibrary::load(plugin_file(path), make_host()); });
    }
}

TEST(Library, OneThatTheLoaderRefusesWithTheLoadersMessage) {
    expect_refused("undefined-symbol",
                   {"cannot be loaded", "undefined symbol", "a_function_that_nobody_has"});
}

TEST(Library, OneThatExportsMoreThanItsDescriptor) {
    expect_refused("two-symbols", {"1 more symbol than its descriptor", "a_stray_function"});
}

TEST(Library, AKindThatContradictsTheFileName) {
    expect_refused("wrong-kind", {"its file name says format, its descriptor says model"});
}

TEST(Library, AnIdThatContradictsTheFileName) {
    expect_refused("wrong-id", {"its file name says 'wrong-id', its descriptor says 'another'"});
}

TEST(Library, ADescriptorThatIsTooShort) {
    expect_refused("short-descriptor", {"claims a size of 16 bytes", "has 88"});
}

TEST(Library, OneThatNeedsANewerHost) {
    expect_refused("new-host", {"needs a host of ABI 1.7", "speaks ABI 1.0", "update halftone"});
}

TEST(Library, AVersionThatIsNone) {
    expect_refused("odd-version", {"'latest'", "no version"});
}

TEST(Library, OneThatDoesNotStartWithItsReason) {
    expect_refused("init-fails", {"init() failed", "the licence server is on fire"});
}

TEST(Library, AnOptionWithAReservedName) {
    expect_refused("reserved-option", {"option 'threads'", "reserved"});
}

TEST(Library, AnOptionWhoseDefaultIsOutOfRange) {
    expect_refused("bad-default", {"option 'block_size'", "its default must be between 1 and 4096, not 0"});
}

TEST(Library, OneThatChangesTheFloatingPointModeWhenItIsLoaded) {
#if !defined(__x86_64__)
    GTEST_SKIP() << "the fixture is for x86-64";
#else
    expect_refused("flush-on-load", {"changed the floating-point mode (flush-to-zero)"});
    volatile float tiny = 1e-39f;
    EXPECT_GT(tiny * 1.0f, 0.0f) << "the mode was not put back";
#endif
}

TEST(Library, OneThatOthersMayWriteIsNotLoadedEvenIfNamed) {
    const TempFolder temp;
    const fs::path path = temp.path() / file_name("sound");
    fs::copy_file(fixture(file_name("sound")), path);
    EXPECT_NO_THROW(PluginLibrary::load(plugin_file(path), make_host()));
    fs::permissions(path, fs::perms::others_write, fs::perm_options::add);
    expect_failure(Exit::plugin, {path.string(), "others may write to this file"},
                   [&] { PluginLibrary::load(plugin_file(path), make_host()); });
}

TEST(Library, IsStartedAndStoppedOnceHoweverManyHoldIt) {
    const Trace trace;
    auto first = load("counted");
    auto second = load("counted");
    EXPECT_EQ(trace.text(), "os");
    first.reset();
    EXPECT_EQ(trace.text(), "os") << "stopped while someone held it";
    second.reset();
    EXPECT_EQ(trace.text(), "ose");
    first = load("counted");
    first.reset();
    EXPECT_TRUE(trace.text() == "oseose" || trace.text() == "osese")
        << trace.text();  // a system may keep it open
}

TEST(Library, FileNamesThatAreNoPluginsAreAUsageError) {
    const TempFolder temp;
    expect_failure(Exit::usage, {"no such file"}, [&] { plugin_file(temp.path() / "format-x.so"); });
    const fs::path odd = temp.file("odd" + SharedObject::suffix());
    expect_failure(Exit::usage, {odd.string(), "KIND-ID"}, [&] { plugin_file(odd); });
    const fs::path text = temp.file("format-x.txt");
    expect_failure(Exit::usage, {text.string(), "KIND-ID"}, [&] { plugin_file(text); });
}

TEST(Bundled, EveryLibraryExportsItsDescriptorAndNothingElse) {
    const std::string suffix = SharedObject::suffix();
    for (const auto& entry : fs::directory_iterator(HALFTONE_BUNDLED_PLUGINS)) {
        if (entry.path().extension() != suffix) continue;
        EXPECT_EQ(SharedObject::exports(entry.path()), std::vector<std::string>{HALFTONE_ENTRY_NAME})
            << entry.path();
    }
}

TEST(Bundled, EveryPluginLoads) {
    Registry registry(bundled_folders(), make_host());
    EXPECT_FALSE(registry.listing().files.empty());
    for (const PluginFile& file : registry.listing().files) {
        EXPECT_TRUE(file.bundled);
        if (file.kind == HT_KIND_FORMAT)
            EXPECT_NO_THROW(registry.format(file.id)) << file.path;
        else if (file.kind == HT_KIND_MODEL)
            EXPECT_NO_THROW(registry.model(file.id)) << file.path;
        else
            EXPECT_NO_THROW(registry.library(file.kind, file.id)) << file.path;
    }
}

}  // namespace
}  // namespace halftone
