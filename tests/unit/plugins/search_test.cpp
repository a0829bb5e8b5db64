#include "plugins/search.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include "plugins/shared_object.hpp"
#include "tests/unit/plugins/support.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;
using testing_plugins::expect_failure;
using testing_plugins::TempFolder;

std::string library(const std::string& stem) {
    return stem + SharedObject::suffix();
}

const PluginFile* find(const PluginListing& listing, ht_kind kind, const std::string& id) {
    for (const PluginFile& file : listing.files)
        if (file.kind == kind && file.id == id) return &file;
    return nullptr;
}

bool is_noted(const PluginListing& listing, const std::string& file, const std::string& reason) {
    return std::ranges::any_of(listing.skipped, [&](const std::string& note) {
        return note.find(file) != std::string::npos && note.find(reason) != std::string::npos;
    });
}

TEST(PluginIds, AreLowerCaseWords) {
    for (const char* good : {"fp8", "acme.int4", "a", "0", "t5xxl", "a_b-c.d"})
        EXPECT_TRUE(is_plugin_id(good)) << good;
    for (const char* bad : {"", "FP8", ".fp8", "-fp8", "_fp8", "fp 8", "fp/8", "../fp8", "fp8\n", "fü8"})
        EXPECT_FALSE(is_plugin_id(bad)) << bad;
    EXPECT_FALSE(is_plugin_id(std::string(1000, 'a')));
}

TEST(PluginKinds, HaveNamesBothWays) {
    for (ht_kind kind : {HT_KIND_FORMAT, HT_KIND_MODEL, HT_KIND_OPTIMIZER, HT_KIND_DEVICE})
        EXPECT_EQ(kind_from_name(kind_name(kind)), kind);
    EXPECT_EQ(kind_from_name("widget"), std::nullopt);
    EXPECT_EQ(kind_name(0), "unknown");
    EXPECT_EQ(kind_name(99), "unknown");
}

TEST(Search, FindsPluginsByTheirNamesInOrder) {
    const TempFolder temp;
    for (const char* stem :
         {"model-flux", "format-int8", "format-fp8", "optimizer-adamw", "device-cuda", "format-acme.x-2"})
        temp.file(library(stem));
    temp.file("README.md");
    temp.file("format-old" + SharedObject::suffix() + ".1");
    const PluginListing listing =
        find_plugins({.extra = {temp.path()}, .environment = {}, .user = {}, .bundled = {}});
    std::vector<std::string> found;
    for (const PluginFile& file : listing.files)
        found.push_back(std::string(kind_name(file.kind)) + " " + file.id);
    EXPECT_EQ(found, (std::vector<std::string>{"format acme.x-2", "format fp8", "format int8", "model flux",
                                               "optimizer adamw", "device cuda"}));
    EXPECT_TRUE(listing.skipped.empty());
}

TEST(Search, PassesOverWhatIsNoPluginAndSaysWhy) {
    const TempFolder temp;
    temp.file(library("widget-x"));
    temp.file(library("libhelper"));
    temp.file(library("format-UPPER"));
    temp.file(library("format-"));
    temp.file(library("format-keep"));
    const PluginListing listing =
        find_plugins({.extra = {temp.path()}, .environment = {}, .user = {}, .bundled = {}});
    EXPECT_TRUE(listing.files.empty());
    EXPECT_TRUE(is_noted(listing, library("widget-x"), "KIND-ID"));
    EXPECT_TRUE(is_noted(listing, library("libhelper"), "KIND-ID"));
    EXPECT_TRUE(is_noted(listing, library("format-UPPER"), "'UPPER' is no plugin id"));
    EXPECT_TRUE(is_noted(listing, library("format-"), "'' is no plugin id"));
    EXPECT_TRUE(is_noted(listing, library("format-keep"), "word of the pipeline"));
    EXPECT_EQ(listing.skipped.size(), 5u);
}

bool has_problem(const PluginListing& listing, const std::string& id, const std::string& reason) {
    const PluginFile* const file = find(listing, HT_KIND_FORMAT, id);
    return file && file->problem.find(reason) != std::string::npos;
}

TEST(Search, KeepsTheNameOfWhatCannotBeUsed) {
    const TempFolder temp;
    temp.folder(library("format-folder"));
    fs::create_symlink(temp.path() / "nowhere", temp.path() / library("format-dangling"));
    temp.file("bundled/" + library("format-dangling"));
    const PluginFolders folders{
        .extra = {temp.path()}, .environment = {}, .user = {}, .bundled = temp.path() / "bundled"};
    const PluginListing listing = find_plugins(folders);
    EXPECT_TRUE(has_problem(listing, "folder", "no regular file"));
    EXPECT_TRUE(has_problem(listing, "dangling", "link to nothing"));
    Registry registry(folders, testing_plugins::make_host());
    expect_failure(Exit::plugin, {library("format-dangling"), "link to nothing"},
                   [&] { registry.format("dangling"); });
}

TEST(Search, AFolderThatCannotBeReadIsNotAbsent) {
    const TempFolder temp;
    fs::create_symlink(temp.path() / "loop", temp.path() / "loop");
    std::vector<PluginFolders> places(4);
    places[0].extra = {temp.path() / "loop"};
    places[1].environment = {temp.path() / "loop"};
    places[2].user = temp.path() / "loop";
    places[3].bundled = temp.path() / "loop";
    for (const PluginFolders& folders : places) {
        const PluginListing listing = find_plugins(folders);
        ASSERT_EQ(listing.unread.size(), 1u);
        EXPECT_NE(listing.unread[0].find("loop: cannot be read"), std::string::npos) << listing.unread[0];
        const Registry registry(folders, testing_plugins::make_host());
        expect_failure(Exit::plugin, {"loop: cannot be read"}, [&] { registry.require_all_folders(); });
    }
    EXPECT_NO_THROW(Registry(PluginFolders{}, testing_plugins::make_host()).require_all_folders());
}

TEST(Search, AHomeOfAnotherUserHoldsNothingOfOurs) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
    const TempFolder temp;  // mode 0700
    temp.folder("plugins");
    const fs::path folder = temp.path() / "plugins";
    const pid_t child = ::fork();
    if (child == 0) {
        if (::setuid(65534) != 0) ::_exit(3);
        const PluginListing home =
            find_plugins({.extra = {}, .environment = {}, .user = folder, .bundled = {}});
        const PluginListing meant =
            find_plugins({.extra = {}, .environment = {folder}, .user = {}, .bundled = {}});
        ::_exit(home.unread.empty() && home.skipped.size() == 1 && meant.unread.size() == 1 ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
}

TEST(Search, RefusesFilesThatOthersMayWrite) {
    const TempFolder temp;
    const fs::path file = temp.file(library("format-open"));
    fs::permissions(file, fs::perms::others_write, fs::perm_options::add);
    temp.file(library("format-closed"));
    const PluginListing listing =
        find_plugins({.extra = {temp.path()}, .environment = {}, .user = {}, .bundled = {}});
    EXPECT_TRUE(has_problem(listing, "open", "others may write to this file"));
    EXPECT_EQ(find(listing, HT_KIND_FORMAT, "closed")->problem, "");
}

TEST(Search, RefusesFoldersThatOthersMayWrite) {
    const TempFolder temp;
    temp.file("open/" + library("format-x"));
    fs::permissions(temp.path() / "open", fs::perms::all);
    const PluginListing listing =
        find_plugins({.extra = {temp.path() / "open"}, .environment = {}, .user = {}, .bundled = {}});
    EXPECT_TRUE(has_problem(listing, "x", "others may write to its folder"));
}

TEST(Search, FollowsLinksBeforeItTrusts) {
    const TempFolder temp;
    const fs::path open = temp.file("open/target");
    fs::permissions(temp.path() / "open", fs::perms::all);
    const fs::path closed = temp.file("closed/target");
    fs::permissions(temp.path() / "closed", fs::perms::owner_all);
    const fs::path folder = temp.folder("plugins");
    fs::create_symlink(open, folder / library("format-open"));
    fs::create_symlink(closed, folder / library("format-closed"));
    const PluginListing listing =
        find_plugins({.extra = {folder}, .environment = {}, .user = {}, .bundled = {}});
    EXPECT_TRUE(has_problem(listing, "open", "others may write to its folder"));
    EXPECT_EQ(find(listing, HT_KIND_FORMAT, "closed")->problem, "");
}

TEST(Search, TakesTheFirstFolderOfTheDocumentedOrder) {
    const TempFolder temp;
    const std::string name = library("format-x");
    PluginFolders folders{{temp.folder("extra1"), temp.folder("extra2")},
                          {temp.folder("environment")},
                          temp.folder("user"),
                          temp.folder("bundled")};
    // From the weakest to the strongest, leaving out user over bundled, which is a clash.
    for (const char* place : {"bundled", "environment", "extra2", "extra1"}) {
        temp.file(std::string(place) + "/" + name);
        const PluginListing listing = find_plugins(folders);
        const PluginFile* file = find(listing, HT_KIND_FORMAT, "x");
        ASSERT_NE(file, nullptr) << place;
        EXPECT_EQ(file->path, temp.path() / place / name);
        EXPECT_EQ(file->bundled, place == std::string("bundled"));
        EXPECT_EQ(file->problem, "");
        EXPECT_EQ(listing.files.size(), 1u);
    }
    EXPECT_TRUE(is_noted(find_plugins(folders), "bundled/" + name, "shadowed by"));
    EXPECT_EQ(folders.in_order(), (std::vector<fs::path>{temp.path() / "extra1", temp.path() / "extra2",
                                                         temp.path() / "environment", temp.path() / "user",
                                                         temp.path() / "bundled"}));
}

TEST(Search, TheUsersFolderMayNotTakeOverABundledId) {
    const TempFolder temp;
    const std::string name = library("format-x");
    temp.file("user/" + name);
    temp.file("user/" + library("format-own"));
    temp.file("bundled/" + name);
    PluginFolders folders{{}, {}, temp.folder("user"), temp.folder("bundled")};
    const PluginListing listing = find_plugins(folders);
    const PluginFile* file = find(listing, HT_KIND_FORMAT, "x");
    ASSERT_NE(file, nullptr);
    EXPECT_NE(file->problem.find((temp.path() / "user" / name).string()), std::string::npos) << file->problem;
    EXPECT_NE(file->problem.find((temp.path() / "bundled" / name).string()), std::string::npos)
        << file->problem;
    EXPECT_EQ(find(listing, HT_KIND_FORMAT, "own")->problem, "");

    // Asked for, it is an error that names both; other plugins are not concerned.
    Registry registry(folders, testing_plugins::make_host());
    expect_failure(Exit::plugin, {"user/" + name, "bundled/" + name}, [&] { registry.format("x"); });

    // Whoever names the folder on the command line means it.
    folders.extra = {temp.path() / "user"};
    const PluginListing meant = find_plugins(folders);
    EXPECT_EQ(find(meant, HT_KIND_FORMAT, "x")->problem, "");
}

TEST(Search, TheSameFolderTwiceIsOneFolder) {
    const TempFolder temp;
    temp.file(library("format-x"));
    const PluginListing listing = find_plugins({.extra = {temp.path(), temp.path() / ".", temp.path()},
                                                .environment = {temp.path()},
                                                .user = {},
                                                .bundled = temp.path()});
    EXPECT_EQ(listing.files.size(), 1u);
    EXPECT_TRUE(listing.files[0].bundled) << "its folder is the bundled one, whatever it was called first";
    EXPECT_TRUE(listing.skipped.empty()) << listing.skipped[0];
}

TEST(Search, AMissingFolderIsAnErrorOnlyWhereItWasNamedOnTheCommandLine) {
    const TempFolder temp;
    const fs::path missing = temp.path() / "missing";
    expect_failure(Exit::usage, {missing.string(), "no such folder"},
                   [&] { find_plugins({.extra = {missing}, .environment = {}, .user = {}, .bundled = {}}); });
    const PluginListing listing = find_plugins(
        {.extra = {}, .environment = {missing, "relative"}, .user = missing, .bundled = missing});
    EXPECT_TRUE(is_noted(listing, missing.string(), "no such folder (HALFTONE_PLUGIN_PATH)"));
    EXPECT_TRUE(is_noted(listing, "relative", "absolute folders only"));
    EXPECT_EQ(listing.skipped.size(), 2u);
}

TEST(Search, TheStandardFoldersNeverContainTheWorkingDirectory) {
    ::setenv("HALFTONE_PLUGIN_PATH", "/opt/a::/opt/b:", 1);
    ::setenv("XDG_DATA_HOME", "/home/someone/data", 1);
    const PluginFolders folders = PluginFolders::standard({"here"});
    ::unsetenv("HALFTONE_PLUGIN_PATH");
    ::unsetenv("XDG_DATA_HOME");
    EXPECT_EQ(folders.environment, (std::vector<fs::path>{"/opt/a", "/opt/b"}));
    EXPECT_EQ(folders.user, fs::path("/home/someone/data/halftone/plugins"));
    ASSERT_EQ(folders.extra.size(), 1u);
    EXPECT_EQ(folders.extra[0], fs::absolute("here")) << "named by the user, it is what he sees there";
    EXPECT_TRUE(folders.bundled.is_absolute());
    for (const fs::path& folder : folders.in_order())
        EXPECT_NE(folder, fs::current_path());
}

}  // namespace
}  // namespace halftone
