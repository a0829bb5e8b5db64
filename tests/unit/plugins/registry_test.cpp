#include "plugins/registry.hpp"

#include <gtest/gtest.h>
#include <thread>

#include "plugins/shared_object.hpp"
#include "tests/unit/plugins/support.hpp"

namespace halftone {
namespace {

using namespace testing_plugins;

std::string library(const std::string& stem) {
    return stem + SharedObject::suffix();
}

TEST(Registries, SayWhatIsThereWhenAPluginIsNot) {
    const TempFolder temp;
    temp.file(library("format-fp8"));
    temp.file(library("format-int8"));
    temp.file(library("model-int9"));
    Registry registry({.extra = {temp.path()}, .environment = {}, .user = {}, .bundled = {}}, make_host());
    expect_failure(Exit::plugin,
                   {"flux.toml:4:10: no format plugin 'int9'; found: fp8, int8 (looked in: " +
                        temp.path().string() + ")",
                    "did you mean 'int8'?"},
                   [&] { registry.format("int9", "flux.toml:4:10"); });
    expect_failure(Exit::plugin, {"no optimizer plugin 'adam'; found: none"},
                   [&] { registry.library(HT_KIND_OPTIMIZER, "adam"); });
    Registry nowhere(PluginFolders{}, make_host());
    expect_failure(Exit::plugin, {"found: none (looked in: nowhere)"}, [&] { nowhere.format("fp8"); });
}

TEST(Registries, NameTheFileThatMustNotBeUsed) {
    const TempFolder temp;
    const auto file = temp.file(library("format-open"));
    std::filesystem::permissions(file, std::filesystem::perms::others_write,
                                 std::filesystem::perm_options::add);
    Registry registry({.extra = {temp.path()}, .environment = {}, .user = {}, .bundled = {}}, make_host());
    expect_failure(Exit::plugin, {file.string() + ": others may write to this file"},
                   [&] { registry.format("open"); });
}

TEST(Registries, AnIdIsNeverAPath) {
    Registry registry(fixture_folders(), make_host());
    for (const char* id : {"../sound", "/etc/passwd", "sound.so/..", "", "Sound"})
        expect_failure(Exit::usage, {"is no plugin id", "p.toml:1:1"},
                       [&] { registry.format(id, "p.toml:1:1"); });
}

TEST(Registries, OpenOnlyWhatIsAskedForAndRememberIt) {
    Registry registry(fixture_folders(), make_host());
    EXPECT_GT(registry.ids(HT_KIND_FORMAT).size(), 10u) << "bad plugins are listed, not opened";
    EXPECT_TRUE(registry.loaded().empty());
    const auto format = registry.format("sound");
    EXPECT_EQ(registry.format("sound"), format);
    registry.model("odd-verdicts");
    registry.library(HT_KIND_FORMAT, "counted");
    EXPECT_EQ(registry.loaded(), (std::vector<std::string>{"format 'sound' 1.2.3", "model 'odd-verdicts' 0.1",
                                                           "format 'counted' 1.2.3"}));
    EXPECT_THROW(registry.format("wrong-id"), Error);
    EXPECT_EQ(registry.loaded().size(), 3u) << "what could not be used is not loaded";
}

TEST(Registries, AreForEveryThread) {
    Registry registry(fixture_folders(), make_host());
    std::vector<std::thread> threads;
    std::vector<std::shared_ptr<const Format>> formats(8);
    for (size_t i = 0; i < formats.size(); ++i)
        threads.emplace_back([&, i] { formats[i] = registry.format("sound"); });
    for (std::thread& thread : threads)
        thread.join();
    for (const auto& format : formats)
        EXPECT_EQ(format, formats[0]);
    EXPECT_EQ(registry.loaded().size(), 1u);
}

TEST(Registries, OpenAFileThatIsNamedOutright) {
    Registry registry(PluginFolders{}, make_host());
    EXPECT_EQ(registry.library_from_file(fixture(library("format-sound")))->name(), "format 'sound'");
    expect_failure(Exit::plugin, {library("format-wrong-id"), "another"},
                   [&] { registry.library_from_file(fixture(library("format-wrong-id"))); });
    expect_failure(Exit::usage, {"no such file"}, [&] { registry.library_from_file("format-nowhere.so"); });
}

TEST(Registries, PluginsOutliveTheirRegistry) {
    std::shared_ptr<const Format> format;
    {
        Registry registry(fixture_folders(), make_host());
        format = registry.format("sound");
    }
    EXPECT_EQ(format->labels().size(), 1u);
}

}  // namespace
}  // namespace halftone
