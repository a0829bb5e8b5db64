#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace halftone {

// A file that is complete and on disk, and the name that it is to get.
struct Renaming {
    std::filesystem::path temporary, final_path;
};

// Gives the files of an output their names, all of them or none. `files` are those of names_of_output().
// Without `replace` none of the names may be taken. On an error everything has the name that it had before,
// unless the error says where it is instead.
//
// Several files cannot be renamed at once, so the index of shards, without which shards are no checkpoint,
// goes first and comes last:
//   1. .NAME.halftone-exchange is written and brought to disk: which files the new ones are
//   2. the old index and then the old shards are renamed to .NAME.halftone-previous
//   3. the new shards get their names, then the new index
//   4. the previous files are removed, then the record of step 1
// A process that ends after step 1 and before the new index has its name leaves no index under the final
// name; what it did is taken back by recover_exchange(). Names are brought to disk before and after each step
// that an index's name is part of, so that a power cut finds the same states.
void put_in_place(const std::filesystem::path& output, const std::vector<Renaming>& files, bool replace);

// Finishes or takes back what an earlier process did not come to the end of. To be called by the one that has
// the claim on the output. Exit::failed if files have been changed since, so that nobody can tell which are
// wanted.
void recover_exchange(const std::filesystem::path& output);

// For readers: the records of exchanges that are under way or were cut off.
bool is_record_of_exchange(std::string_view file_name);
bool has_record_of_exchange(const std::filesystem::path& index);

}  // namespace halftone
