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
    std::string problem;  // why it cannot or must not be loaded; else empty
};

// Where plugins are looked for, in order: folders named on the command line, HALFTONE_PLUGIN_PATH, the user's
// data folder, and the bundled ones beside the executable. Never the working directory.
struct PluginFolders {
    std::vector<std::filesystem::path> extra;        // --plugin-dir
    std::vector<std::filesystem::path> environment;  // HALFTONE_PLUGIN_PATH
    std::filesystem::path user;                      // empty: none
    std::filesystem::path bundled;                   // empty: none

    static PluginFolders standard(const std::vector<std::filesystem::path>& extra);
    std::vector<std::filesystem::path> in_order() const;
};

// The folders of HALFTONE_PLUGIN_PATH: separated by ':' (';' on Windows), empty ones left out.
std::vector<std::filesystem::path> split_plugin_path(std::string_view);

// Everything found.
struct PluginListing {
    std::vector<PluginFile> files;  // by kind, then id; the first folder wins
    std::vector<std::string>
        skipped;  // passed over, and why: "/opt/x/libx.so: its name is not KIND-ID.so ..."
    std::vector<std::string> unread;  // folders that are there and cannot be read, and why
};

// The kind and id that a file's name tells, or why it tells none.
PluginFile plugin_file(const std::filesystem::path&);  // Exit::usage

// Whether the file holds the text as a C string, as every library does that compares labels with it. Nothing
// of the library runs. True if that cannot be found out.
bool holds_text(const PluginFile&, std::string_view text);

// Reads folders, no libraries. An explicit folder (--plugin-dir, HALFTONE_PLUGIN_PATH) may shadow a bundled
// id; in the user's folder that is a problem of the file, naming both. So it is if others may change the file
// or a folder above it (os::distrust). Exit::usage if a folder of --plugin-dir does not exist.
PluginListing find_plugins(const PluginFolders&);

}  // namespace halftone
