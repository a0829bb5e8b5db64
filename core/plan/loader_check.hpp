#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"
#include "core/plan/families.hpp"
#include "core/plan/judgment.hpp"
#include "plugins/registry.hpp"

namespace halftone {

// A quantized layer of a checkpoint, as a loader would meet it.
struct LayerVerdict {
    std::string layer;
    std::string label;   // "" if the file does not say
    std::string format;  // "acme.int4 block=32"; "" if no format can read it
    Judgment judgment;
};

// Something about the file as a whole, or about tensors that are not quantized.
struct Obstacle {
    std::string where;  // a tensor, or "" for the file
    std::string reason, advice;
};

struct LoaderCheck {
    std::string loader;  // its id
    std::string family;  // of models, or what the file is instead; "" if it is none that is known
    std::vector<LayerVerdict> layers;  // in the order of names
    std::vector<Obstacle> obstacles;   // for each of which the loader refuses something
    std::vector<std::string> remarks;  // what it takes, and people should know
    uint64_t other_tensors = 0;        // beside those of quantized layers

    uint64_t refused_layers() const;
    bool passed() const { return obstacles.empty() && refused_layers() == 0; }
};

// Would the loader take every tensor, and compute with the numbers that the file means? From headers and
// small tensors; of weights, only those are read that the loader would convert by value.
LoaderCheck check_for_loader(std::shared_ptr<const Checkpoint>, Registry&, const Loaders&, const Families&,
                             const Loader&);

}  // namespace halftone
