#include "core/plan/candidates.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace halftone {
namespace {

// Of words that libraries are searched for. No real file has as many labels, and reading libraries takes
// time.
constexpr size_t most_searched = 64;

}  // namespace

bool Candidate::knows(std::string_view label) const {
    return !label.empty() && (id == label || std::ranges::find(labels, label) != labels.end());
}

void Candidates::find_all() {
    if (std::exchange(found_, true)) return;
    for (std::string& id : registry_.ids(HT_KIND_FORMAT))
        all_.push_back({.id = std::move(id)});
}

void Candidates::open(Candidate& candidate) {
    if (std::exchange(candidate.opened, true)) return;
    try {
        candidate.format = registry_.format(candidate.id);
        for (const Format::Label& label : candidate.format->labels())
            candidate.labels.push_back(label.label);
    } catch (const Error& error) {  // another one may know the layer
        candidate.format = nullptr;
        candidate.problem = text::printable(error.what(), std::string::npos);
    }
}

// Layouts without a label have a tensor's name in its place, "...__ID".
bool Candidates::points_to(const Candidate& candidate, const std::string& word) const {
    if (word.empty()) return false;
    return candidate.id == word || word.ends_with("_" + candidate.id) ||
           registry_.format_mentions(candidate.id, word);
}

Candidates::Stages Candidates::sorted(const std::string& word) {
    Stages stages;
    const bool searched = by_word_.size() < most_searched;
    for (Candidate& candidate : all_) {
        const bool pointed = searched && points_to(candidate, word);
        if (pointed) open(candidate);
        const Stage stage = candidate.opened && candidate.knows(word) ? Stage::known
                            : pointed                                 ? Stage::mentioned
                                                                      : Stage::other;
        stages[static_cast<size_t>(stage)].push_back(&candidate);
    }
    return stages;
}

const std::vector<Candidate*>& Candidates::at(Stage stage, const std::string& word) {
    find_all();
    auto found = by_word_.find(word);
    if (found == by_word_.end()) found = by_word_.emplace(word, sorted(word)).first;
    if (stage == Stage::other)
        for (Candidate* candidate : found->second[static_cast<size_t>(stage)])
            open(*candidate);
    return found->second[static_cast<size_t>(stage)];
}

}  // namespace halftone
