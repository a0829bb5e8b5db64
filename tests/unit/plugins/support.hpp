#pragma once

#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "plugins/host.hpp"
#include "plugins/registry.hpp"

namespace halftone::testing_plugins {

// A new folder that only its owner may write, removed at the end.
class TempFolder {
  public:
    TempFolder();
    ~TempFolder();
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }
    // A file of a few bytes; folders on the way are made.
    std::filesystem::path file(const std::string& name) const;
    std::filesystem::path folder(const std::string& name) const;

  private:
    std::filesystem::path path_;
};

std::shared_ptr<PluginHost> make_host();

std::filesystem::path fixture(const std::string& file_name);  // "format-sound.so"
PluginFolders fixture_folders();                              // the fixtures and nothing else
PluginFolders bundled_folders();                              // what this build bundles

// Runs `work`, which must fail with this exit code; the whole message, advice included.
std::string failure(Exit, const std::function<void()>& work);
// That, and each part must occur in the message.
void expect_failure(Exit, const std::vector<std::string>& parts, const std::function<void()>& work);

}  // namespace halftone::testing_plugins
