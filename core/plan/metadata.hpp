#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/checkpoint/checkpoint.hpp"

namespace halftone {

// JSON with the spaces that Python writes: readers in the field compare such texts byte by byte.
std::string python_json(const Json&);

// What the run did to the layers, as far as the header's quantization metadata is concerned.
struct LayerChanges {
    std::map<std::string, Json> written;  // layer -> its configuration, for the header
    std::set<std::string> touched;        // layers whose old entry is no longer true
};

// The input's metadata less what the run makes false (hashes of the old contents, entries of changed layers),
// plus the entries of the layers written. `files` are the metadata of the single files: shards describe their
// own layers.
Metadata output_metadata(const Metadata& input, const std::vector<Metadata>& files, const LayerChanges&);

// Replaces or appends one entry.
void set_metadata(Metadata&, const std::string& key, std::string value);

}  // namespace halftone
