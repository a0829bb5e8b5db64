#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/registry.hpp"

namespace halftone {

// A format plugin that may be asked about a layer, or why it may not.
struct Candidate {
    std::string id;
    bool opened = false;
    std::shared_ptr<const Format> format = nullptr;  // null if it could not be opened
    std::vector<std::string> labels = {};
    std::string problem = {};

    bool knows(std::string_view label) const;  // by its id or one of its labels
};

// Which format plugins to ask about a layer, and in which order. Opening a library runs its code, so that one
// is opened only when the layer's label points to it, or when none of those can read the layer.
class Candidates {
  public:
    explicit Candidates(Registry& registry) : registry_(registry) {}

    // By what the file says about the layer, one stage after the other: those that know it as an id or label;
    // those whose library has the word in it; all others. Each candidate is in one stage. What a stage needs
    // is opened when it is asked for.
    enum class Stage { known, mentioned, other };
    static constexpr std::array stages = {Stage::known, Stage::mentioned, Stage::other};
    const std::vector<Candidate*>& at(Stage, const std::string& word);

  private:
    using Stages = std::array<std::vector<Candidate*>, stages.size()>;
    void find_all();
    void open(Candidate&);
    bool points_to(const Candidate&, const std::string& word) const;
    Stages sorted(const std::string& word);

    Registry& registry_;
    bool found_ = false;
    std::vector<Candidate> all_;
    std::map<std::string, Stages, std::less<>> by_word_;
};

}  // namespace halftone
