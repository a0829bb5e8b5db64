#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/plugin.h>

namespace halftone {

std::string_view kind_name(ht_kind);  // "format", "model", "optimizer", "device"
std::optional<ht_kind> kind_from_name(std::string_view);
bool is_plugin_id(std::string_view);  // [a-z0-9][a-z0-9_.-]*

// A file that by its name is a plugin. Nothing of it has been read.
struct PluginFile {
    ht_kind kind = 0;
    std::string id;
    std::filesystem::path path;
    bool bundled = false;
};

// Where plugins are looked for, in order: folders named on the command line, HALFTONE_PLUGIN_PATH, the user's
// data folder, and the bundled ones beside the executable. Never the working directory.
struct PluginFolders {
    std::vector<std::filesystem::path> extra;        // --plugin-dir
    std::vector<std::filesystem::path> environment;  // HALFTONE_PLUGIN_PATH
    std::filesystem::path user;
    std::filesystem::path bundled;

    static PluginFolders standard(std::vector<std::filesystem::path> extra);
    std::vector<std::filesystem::path> in_order() const;
};

// Everything found, with what was passed over and why ("format-x.so: others may write to it").
struct PluginListing {
    std::vector<PluginFile> files;  // by kind, then id; the first folder wins
    std::vector<std::string> skipped;
};

// Reads folders, no libraries. An explicit folder (--plugin-dir, HALFTONE_PLUGIN_PATH) may shadow a bundled
// id; in the user's folder that is an error naming both files. Files and folders that others may write are
// refused.
PluginListing find_plugins(const PluginFolders&);

}  // namespace halftone
