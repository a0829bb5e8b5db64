#include "core/verify/findings.hpp"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>

namespace halftone {

std::vector<FindingGroup> grouped(const std::vector<Finding>& findings) {
    std::vector<FindingGroup> groups;
    std::map<std::string_view, size_t> by_what;
    for (const Finding& finding : findings) {
        const auto [found, is_new] = by_what.emplace(finding.what, groups.size());
        if (is_new) groups.push_back({{}, finding.what});
        groups[found->second].where.push_back(finding.where);
    }
    return groups;
}

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
