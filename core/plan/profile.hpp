#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"
#include "core/pipeline/pipeline.hpp"
#include "plugins/registry.hpp"

namespace halftone {

// The profiles that a run obeys: those the user named, or the one that recognizes the checkpoint.
class Profiles {
  public:
    // Exit::usage if detection is a tie, Exit::plugin if a named profile cannot be had.
    static Profiles choose(const Pipeline::ModelChoice&, const Checkpoint&, Registry&,
                           std::vector<std::string>& warnings);

    // Removal beats keeping, keeping beats quantizing; flags add up.
    Verdict decide(const Tensor&) const;

    // "ID (the key that gave the family away, the variant)", or "none".
    const std::string& summary() const { return summary_; }
    std::vector<std::string> ids() const;

  private:
    struct Chosen {
        std::shared_ptr<const Model> model;
        OptionValues options;
    };
    std::vector<Chosen> chosen_;
    std::string summary_;
};

// The prefix that the diffusion model's tensors have in a checkpoint that holds more
// ("model.diffusion_model."), or "".
std::string common_prefix(const Checkpoint&);

}  // namespace halftone
