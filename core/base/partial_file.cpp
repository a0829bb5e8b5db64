#include "core/base/partial_file.hpp"

#include <algorithm>
#include <system_error>

#include "core/base/error.hpp"
#include "core/base/os/claim.hpp"
#include "core/base/os/process.hpp"
#include "core/base/sha256.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;

constexpr size_t longest_name = 160;  // file systems take 255 bytes
constexpr std::string_view mark = ".halftone-", ending = ".partial";

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

fs::path beside(const fs::path& path, const std::string& name) {
    return folder_of(path) / fs::path(std::u8string(name.begin(), name.end()));
}

}  // namespace

fs::path folder_of(const fs::path& path) {
    return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

bool is_taken(const fs::path& path) {
    std::error_code ignored;
    const fs::file_type type = fs::symlink_status(path, ignored).type();
    return type != fs::file_type::not_found && type != fs::file_type::none;
}

fs::path hidden_beside(const fs::path& path, std::string_view what) {
    std::string name = os::utf8(path.filename());
    if (name.size() > longest_name) {
        Sha256 hash;
        hash.add(bytes_of(name));
        constexpr size_t digits = 16;
        name = hash.hex().substr(0, digits) + name.substr(name.size() - longest_name + digits);
    }
    return beside(path, fmt::format(".{}{}{}", name, mark, what));
}

// The end tells shards apart. Partials of two outputs may seem to be of one; at worst a run that is dead does
// not keep its own.
std::string name_in_partials(const fs::path& final_path) {
    std::string name = os::utf8(final_path.filename());
    if (name.size() > longest_name) name.erase(0, name.size() - longest_name);
    return name;
}

std::string name_of_partial(std::string_view file_name) {
    if (!file_name.starts_with('.') || !file_name.ends_with(ending)) return "";
    const size_t end = file_name.rfind(mark);
    return end == std::string_view::npos || end < 2 ? "" : std::string(file_name.substr(1, end - 1));
}

os::File create_partial(const fs::path& final_path, const std::string& tag, bool replaces) {
    const bool keeps = replaces && os::state_of(final_path);
    for (unsigned attempt = 1;; ++attempt) {
        const std::string number = attempt == 1 ? "" : fmt::format("-{}", attempt);
        const fs::path path = beside(
            final_path, fmt::format(".{}{}{}{}{}", name_in_partials(final_path), mark, tag, number, ending));
        if (is_taken(path)) continue;
        os::File file;
        try {
            file = os::File::create_new(path, keeps);
        } catch (const Error&) {
            if (!is_taken(path)) throw;
            continue;  // another process was faster
        }
        file.mark_as_in_use();
        os::remove_on_exit(path);
        try {
            if (keeps) file.take_permissions_of(final_path);
        } catch (...) {
            remove_partial(path);
            throw;
        }
        return file;
    }
}

void remove_partial(const fs::path& path) {
    std::error_code ignored;
    fs::remove(path, ignored);
    os::keep_on_exit(path);
}

Sweep sweep_partials(const fs::path& folder, const std::function<bool(const std::string&)>& wanted) {
    std::vector<fs::path> found;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        const std::string name = name_of_partial(os::utf8(at->path().filename()));
        std::error_code ignored;
        if (!name.empty() && wanted(name) && fs::is_regular_file(at->symlink_status(ignored)))
            found.push_back(at->path());
    }
    std::ranges::sort(found);
    Sweep sweep;
    for (const fs::path& path : found) {
        std::error_code not_allowed;
        const bool gone = os::use_of(path) == os::Use::nobody && fs::remove(path, not_allowed);
        (gone ? sweep.removed : sweep.left).push_back(path);
    }
    return sweep;
}

void write_whole(const fs::path& path, std::string_view content) {
    os::File file = create_partial(path, "", true);
    const fs::path partial = file.path();
    try {
        file.write(0, bytes_of(content));
        file.sync();  // whole or not at all, also after a power cut
        file.close();
        os::rename_over(partial, path);
        os::keep_on_exit(partial);
    } catch (...) {
        remove_partial(partial);
        throw;
    }
}

}  // namespace halftone
