#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"
#include "core/plan/loaders.hpp"
#include "core/plan/marker_json.hpp"

namespace halftone {

// The marker that a loader acts on: the file's, the one that its header has, or the one that it makes of an
// older file.
struct ActingMarker {
    std::optional<MarkerJson> json;  // unset: the file's own, which read() reads
    bool in_header = false;
    bool legacy = false;             // scales are called scale_weight and scale_input
    const Tensor* tensor = nullptr;  // the file's own, which the others replace
};

// The files' own markers are read one at a time: as trees they take many times as much memory as in the file.
MarkerJson read(const Checkpoint&, const ActingMarker&);

// What a loader of ComfyUI's kind makes of the markers of a file, before it looks at any layer.
struct ActingMarkers {
    std::map<std::string, ActingMarker, std::less<>> layers;  // that have a weight
    std::vector<std::string> without_weight;                  // layers with a marker and nothing to mark
    std::string header_fault;  // why the whole file fails: "KeyError 'layers'"; "" if it does not
    bool has_header = false;   // even if nothing can be made of it: older layouts are not converted then
    const Tensor* refused_scale = nullptr;  // of an older file, which fails at it
};
ActingMarkers acting_markers(const Checkpoint&, const Loader&);

}  // namespace halftone
