#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/os/file.hpp"

// Files that get their names when they are whole. Until then they stand beside them, hidden, as
// .NAME.halftone-TAG.partial, and the process that writes them is known to be at work on them.
namespace halftone {

std::filesystem::path folder_of(const std::filesystem::path&);  // "." for a bare name

// Is there anything of that name? A broken link is something: what is renamed to it takes its place.
bool is_taken(const std::filesystem::path&);

// ".NAME.halftone-ENDING" beside a file. Long names are cut and told apart by a hash.
std::filesystem::path hidden_beside(const std::filesystem::path&, std::string_view ending);

// An empty partial file, removed if the process is interrupted twice. `replaces`: it gets the permissions of
// the file that has the final name, if there is one.
os::File create_partial(const std::filesystem::path& final_path, const std::string& tag, bool replaces);

void remove_partial(const std::filesystem::path&);  // without errors: nothing more can be done about them

// The name that a partial file is to have, as far as its own name tells (long ones are cut to their end); ""
// for any other file.
std::string name_of_partial(std::string_view file_name);
std::string name_in_partials(const std::filesystem::path& final_path);

// Removes the partial files of a folder that no process is at work on, as killed runs leave them. `wanted` is
// asked with name_of_partial().
struct Sweep {
    std::vector<std::filesystem::path> removed;
    std::vector<std::filesystem::path> left;  // in use, or nobody can tell
};
Sweep sweep_partials(const std::filesystem::path& folder,
                     const std::function<bool(const std::string& name)>& wanted);

// Writes a file of that content in place of what has the name, or not at all: whole, never through a link,
// with the permissions of what it replaces. Exit::space if the disk is full.
void write_whole(const std::filesystem::path&, std::string_view content);

}  // namespace halftone
