#pragma once

#include <string>
#include <vector>

#include "core/pipeline/pipeline.hpp"
#include "core/pipeline/sections.hpp"

namespace halftone {

// Settles who inherits what. Options come, later ones winning, from [format.ID], from [quantize] if that
// names the same id, and from beside the choice itself.
class Treatments {
  public:
    // Reads [quantize]. Exit::usage if it has no format.
    explicit Treatments(Sections&);

    const Treatment& primary() const { return primary_; }
    PluginChoice embeddings();
    // Of a rule that quantizes, or of the fallback; without a format it is [quantize]'s.
    Treatment of(const SectionValues&);

  private:
    PluginChoice format(const std::string& id, std::string where, const GivenOptions& inline_options);
    PluginChoice optimizer(const std::string& id, std::string where);

    Sections& sections_;
    Treatment primary_;
};

// The key that an unknown one may have been meant for, as "; did you mean 'match' by 'mach' (a.toml:3:1)?"
std::string meant_by(const GivenOptions& unknown, const std::vector<std::string>& missing);

// Exit::usage if there is anything beside `allowed` that says how to quantize.
void refuse_settings(const SectionValues&, const std::string& because);

}  // namespace halftone
