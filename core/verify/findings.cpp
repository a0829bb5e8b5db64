#include "core/verify/findings.hpp"

#include <algorithm>
#include <tuple>

namespace halftone {

void Findings::add_text(std::string where, std::string what) {
    const std::lock_guard lock(mutex_);
    all_.push_back({std::move(where), std::move(what)});
}

std::vector<Finding> Findings::in_order() const {
    std::vector<Finding> sorted = all_;
    std::ranges::sort(sorted, {},
                      [](const Finding& finding) { return std::tie(finding.where, finding.what); });
    return sorted;
}

}  // namespace halftone
