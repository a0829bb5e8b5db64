#include "plugins/search.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <system_error>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/os/file.hpp"
#include "core/base/os/process.hpp"
#include "core/base/os/trust.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"
#include "plugins/shared_object.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 4> kind_names = {"format", "model", "optimizer", "device"};
constexpr size_t longest_id = 100;
// What a pipeline says in the place of an id.
constexpr std::array<std::string_view, 4> words = {"auto", "keep", "none", "remove"};

struct NameParts {
    ht_kind kind = 0;
    std::string id;
    std::string problem;
};

// What KIND-ID.so says. Only called for names that end like a shared library.
NameParts parts_of(const fs::path& path) {
    const std::string stem = os::utf8(path.stem());
    const size_t dash = stem.find('-');
    const std::optional<ht_kind> kind = kind_from_name(std::string_view(stem).substr(0, dash));
    if (dash == std::string::npos || !kind)
        return {0,
                {},
                fmt::format("its name is not KIND-ID{} with one of the kinds {}", SharedObject::suffix(),
                            fmt::join(kind_names, ", "))};
    NameParts parts{*kind, stem.substr(dash + 1), {}};
    if (!is_plugin_id(parts.id))
        parts.problem = fmt::format("'{}' is no plugin id: ids are made of a-z, 0-9, '_', '.' and '-'",
                                    text::printable(parts.id));
    else if (std::ranges::find(words, parts.id) != words.end())
        parts.problem = fmt::format("'{}' is a word of the pipeline and no plugin id", parts.id);
    return parts;
}

// Whether there is a folder. What cannot be looked at is not absent.
bool is_folder(const fs::path& path, std::string& problem) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (status.type() == fs::file_type::directory) return true;
    if (status.type() != fs::file_type::not_found) problem = error ? error.message() : "this is no folder";
    return false;
}

// Why a file that is named like a plugin cannot be one, or must not be.
std::string unusable(const fs::path& path) {
    std::error_code problem;
    const fs::file_status status = fs::status(path, problem);
    if (status.type() == fs::file_type::not_found) return "this is a link to nothing";
    if (problem) return "cannot be looked at: " + problem.message();
    if (status.type() != fs::file_type::regular) return "this is no regular file";
    return os::distrust(path);
}

std::string canonical_text(const fs::path& path) {
    std::error_code ignored;
    const fs::path canonical = fs::weakly_canonical(path, ignored);
    return os::utf8(canonical.empty() ? path : canonical);
}

// Walks the folders in order and settles who wins an id.
class Search {
  public:
    explicit Search(const PluginFolders& folders) : folders_(folders) {}

    PluginListing run() {
        std::string problem;
        for (const fs::path& folder : folders_.extra) {
            if (!is_folder(folder, problem) && problem.empty())
                throw Error(Exit::usage, os::utf8(folder), "no such folder of plugins", "see --plugin-dir");
            read(folder, Origin::explicit_folder, std::exchange(problem, {}));
        }
        for (const fs::path& folder : folders_.environment) {
            // A relative folder would mean another one wherever the program is started.
            if (folder.is_relative())
                skip(folder, "HALFTONE_PLUGIN_PATH takes absolute folders only");
            else if (!is_folder(folder, problem) && problem.empty())
                skip(folder, "no such folder (HALFTONE_PLUGIN_PATH)");
            else
                read(folder, Origin::explicit_folder, std::exchange(problem, {}));
        }
        // A home that belongs to another user, as after su, holds nothing of ours.
        std::error_code error;
        static_cast<void>(fs::status(folders_.user, error));
        if (error == std::errc::permission_denied)
            skip(folders_.user, "cannot be looked at: " + error.message());
        else if (!folders_.user.empty() && (is_folder(folders_.user, problem) || !problem.empty()))
            read(folders_.user, Origin::user, std::exchange(problem, {}));
        if (!folders_.bundled.empty() && (is_folder(folders_.bundled, problem) || !problem.empty()))
            read(folders_.bundled, Origin::bundled, std::exchange(problem, {}));
        std::ranges::sort(listing_.files, {},
                          [](const PluginFile& file) { return std::pair(file.kind, file.id); });
        return std::move(listing_);
    }

  private:
    enum class Origin { explicit_folder, user, bundled };

    void skip(const fs::path& path, const std::string& reason) {
        listing_.skipped.push_back(text::printable(os::utf8(path), 1000) + ": " + reason);
    }

    void cannot_read(const fs::path& folder, const std::string& problem) {
        listing_.unread.push_back(text::printable(os::utf8(folder), 1000) + ": cannot be read: " + problem);
    }

    void read(const fs::path& folder, Origin origin, const std::string& known_problem) {
        if (!known_problem.empty()) return cannot_read(folder, known_problem);
        const std::string canonical = canonical_text(folder);
        if (std::ranges::find(seen_, canonical) != seen_.end()) return;
        seen_.push_back(canonical);

        std::error_code problem;
        std::vector<fs::path> paths;
        for (fs::directory_iterator at(folder, problem), end; !problem && at != end; at.increment(problem))
            if (os::utf8(at->path().extension()) == SharedObject::suffix()) paths.push_back(at->path());
        if (problem) return cannot_read(folder, problem.message());
        std::ranges::sort(paths);  // notes in an order that does not depend on the file system
        for (const fs::path& path : paths)
            consider(path, origin);
    }

    void consider(const fs::path& path, Origin origin) {
        const NameParts parts = parts_of(path);
        if (!parts.problem.empty()) return skip(path, parts.problem);

        const bool bundled = origin == Origin::bundled ||
                             canonical_text(path.parent_path()) == canonical_text(folders_.bundled);
        const auto same = [&](const PluginFile& file) {
            return file.kind == parts.kind && file.id == parts.id;
        };
        const auto winner = std::ranges::find_if(listing_.files, same);
        if (winner == listing_.files.end()) {
            // One that must not be used keeps its place: the next one of that name would be another plugin.
            listing_.files.push_back({parts.kind, parts.id, path, bundled, unusable(path)});
            from_user_.push_back(origin == Origin::user);
            return;
        }
        const auto index = static_cast<size_t>(winner - listing_.files.begin());
        if (bundled && from_user_[index]) {
            // Whoever can drop a file into the user's folder must not take over a name that others trust.
            winner->problem = fmt::format(
                "{} '{}' is there twice: {} and, bundled, {}; remove the first or name its folder with "
                "--plugin-dir",
                kind_name(parts.kind), parts.id, os::utf8(winner->path), os::utf8(path));
            return;
        }
        skip(path, "shadowed by " + os::utf8(winner->path));
    }

    const PluginFolders& folders_;
    PluginListing listing_;
    std::vector<bool> from_user_;  // beside listing_.files, until that is sorted
    std::vector<std::string> seen_;
};

}  // namespace

std::string_view kind_name(ht_kind kind) {
    return kind >= 1 && kind <= kind_names.size() ? kind_names[kind - 1] : "unknown";
}

std::optional<ht_kind> kind_from_name(std::string_view name) {
    const auto at = std::ranges::find(kind_names, name);
    if (at == kind_names.end()) return std::nullopt;
    return static_cast<ht_kind>(at - kind_names.begin() + 1);
}

bool is_plugin_id(std::string_view id) {
    const auto is_word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    const auto is_part = [&](char c) { return is_word(c) || c == '_' || c == '.' || c == '-'; };
    return !id.empty() && id.size() <= longest_id && is_word(id.front()) && std::ranges::all_of(id, is_part);
}

PluginFile plugin_file(const fs::path& path) {
    const std::string where = os::utf8(path);
    if (std::error_code ignored; fs::symlink_status(path, ignored).type() == fs::file_type::not_found)
        fail(Exit::usage, where, "no such file");
    if (os::utf8(path.extension()) != SharedObject::suffix())
        fail(Exit::usage, where, "a plugin's file is named KIND-ID{}", SharedObject::suffix());
    NameParts parts = parts_of(path);
    if (!parts.problem.empty()) fail(Exit::usage, where, "{}", parts.problem);
    return {parts.kind, std::move(parts.id), fs::absolute(path), false, {}};
}

bool holds_text(const PluginFile& plugin, std::string_view text) {
    constexpr size_t piece = 1 << 20;
    const std::string wanted = std::string(text) + '\0';
    try {
        const os::File file = os::File::open_to_read(plugin.path);
        const uint64_t size = file.size();
        std::string bytes;
        for (uint64_t at = 0; at < size; at += piece) {  // pieces overlap by what a text may be cut off at
            bytes.resize(std::min<uint64_t>(piece + wanted.size() - 1, size - at));
            file.read(at, std::as_writable_bytes(std::span(bytes)));
            if (bytes.find(wanted) != std::string::npos) return true;
        }
        return false;
    } catch (const Error&) {
        return true;
    }
}

std::vector<fs::path> split_plugin_path(std::string_view value) {
#if defined(_WIN32)
    constexpr char separator = ';';
#else
    constexpr char separator = ':';
#endif
    std::vector<fs::path> folders;
    for (const std::string& part : text::split(value, separator))
        if (!part.empty()) folders.emplace_back(std::u8string(part.begin(), part.end()));
    return folders;
}

PluginFolders PluginFolders::standard(const std::vector<fs::path>& extra) {
    PluginFolders folders;
    for (const fs::path& folder : extra)
        folders.extra.push_back(fs::absolute(folder).lexically_normal());
    if (const std::optional<std::string> value = os::environment("HALFTONE_PLUGIN_PATH"))
        folders.environment = split_plugin_path(*value);
    if (const fs::path data = os::user_data_folder(); !data.empty())
        folders.user = data / "halftone" / "plugins";
    folders.bundled = os::executable().parent_path().parent_path() / bundled_plugin_dir();
    return folders;
}

std::vector<fs::path> PluginFolders::in_order() const {
    std::vector<fs::path> all = extra;
    all.insert(all.end(), environment.begin(), environment.end());
    if (!user.empty()) all.push_back(user);
    if (!bundled.empty()) all.push_back(bundled);
    return all;
}

PluginListing find_plugins(const PluginFolders& folders) {
    return Search(folders).run();
}

}  // namespace halftone
