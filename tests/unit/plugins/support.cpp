#include "tests/unit/plugins/support.hpp"

#include <atomic>
#include <fstream>
#include <random>

#include "plugins/shared_object.hpp"

namespace halftone::testing_plugins {

namespace fs = std::filesystem;

TempFolder::TempFolder() {
    static std::atomic<unsigned> count = 0;
    path_ = fs::path(testing::TempDir()) /
            ("halftone-plugins-" + std::to_string(std::random_device()()) + "-" + std::to_string(++count));
    fs::create_directories(path_);
    fs::permissions(path_, fs::perms::owner_all);
}

TempFolder::~TempFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

fs::path TempFolder::file(const std::string& name) const {
    fs::path path = path_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << "no library";
    fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
    return path;
}

fs::path TempFolder::folder(const std::string& name) const {
    fs::create_directories(path_ / name);
    fs::permissions(path_ / name, fs::perms::owner_all);
    return path_ / name;
}

std::shared_ptr<PluginHost> make_host() {
    static Log log{Log::Settings{}};
    return std::make_shared<PluginHost>(log, HT_CPU_BASELINE);
}

fs::path fixture(const std::string& file_name) {
    return fs::path(HALFTONE_FIXTURE_PLUGINS) / file_name;
}

PluginFolders fixture_folders() {
    PluginFolders folders;
    folders.extra = {HALFTONE_FIXTURE_PLUGINS};
    return folders;
}

PluginFolders bundled_folders() {
    PluginFolders folders;
    folders.bundled = HALFTONE_BUNDLED_PLUGINS;
    return folders;
}

std::string failure(Exit code, const std::function<void()>& work) {
    try {
        work();
    } catch (const Error& error) {
        EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
        return std::string(error.what()) + " | " + error.advice();
    }
    ADD_FAILURE() << "nothing failed";
    return {};
}

void expect_failure(Exit code, const std::vector<std::string>& parts, const std::function<void()>& work) {
    const std::string message = failure(code, work);
    for (const std::string& part : parts)
        EXPECT_NE(message.find(part), std::string::npos) << "not in the message: " << part << "\n" << message;
}

}  // namespace halftone::testing_plugins
