#pragma once

#include <string>

#include "core/checkpoint/checkpoint.hpp"
#include "core/plan/acting_markers.hpp"
#include "core/plan/families.hpp"
#include "core/plan/judgment.hpp"

namespace halftone {

// What formats here make of a layer, before its loader is asked.
struct LayerAsRead {
    bool readable = false;
    std::string why_not;
    Judgment judgment;  // by labels
};

// Judges layers as a loader meets them: by the marker that it acts on, and the tensors beside the weight, as
// loaders.toml describes what it does with them.
class LayerCheck {
  public:
    LayerCheck(const Checkpoint& checkpoint, const Loaders& loaders, const Loader& loader, FoundFamily family)
        : checkpoint_(checkpoint), loaders_(loaders), loader_(loader), family_(std::move(family)) {}

    // Of a layer that has a weight.
    Judgment judge(const std::string& layer, const ActingMarker&, const MarkerJson&,
                   const LayerAsRead&) const;

  private:
    void judge_undescribed(const std::string& label, LayerKind, Judgment&) const;
    FoundLayerTensors tensors_of(const std::string& layer, LayerKind, const ActingMarker&,
                                 const SortedJson& marker) const;
    bool is_exactly_one(const Tensor&) const;
    bool survives_conversion(const Tensor& weight, const LayerRule&, Judgment&) const;
    void take(const LayerRule&, const LayerFinding&, const LayerAsRead&, Judgment&) const;
    void check_shapes(const std::string& layer, const LayerFinding&, Judgment&) const;

    const Checkpoint& checkpoint_;
    const Loaders& loaders_;
    const Loader& loader_;
    FoundFamily family_;
};

}  // namespace halftone
