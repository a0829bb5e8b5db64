#pragma once

#include <fmt/format.h>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace halftone {

// Something that is wrong with a checkpoint.
struct Finding {
    std::string where;  // a tensor, a layer or a file; "" for the whole
    std::string what;
};

// Findings that say the same of several places.
struct FindingGroup {
    std::vector<std::string> where;
    std::string what;
};
std::vector<FindingGroup> grouped(const std::vector<Finding>&);  // in the order of their first ones

// Collects them from any thread.
class Findings {
  public:
    template <class... Args>
    void add(std::string where, fmt::format_string<Args...> what, Args&&... args) {
        add_text(std::move(where), fmt::format(what, std::forward<Args>(args)...));
    }
    void add_text(std::string where, std::string what);
    std::vector<Finding> in_order() const;  // by place; once nobody adds any more

  private:
    std::mutex mutex_;
    std::vector<Finding> all_;
};

}  // namespace halftone
