#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/pipeline/section_values.hpp"

namespace halftone {

// [format.ID] and its like: options by id, and which of them anybody asked for.
class IdTables {
  public:
    IdTables() = default;
    IdTables(const schema::Section&, const Entry&);

    GivenOptions take(const std::string& id);
    const std::map<std::string, GivenOptions, std::less<>>& all() const { return options_; }
    // One line for each table that take() never gave away.
    std::vector<std::string> unused() const;

  private:
    std::string_view section_;
    std::map<std::string, GivenOptions, std::less<>> options_;
    std::map<std::string, Place, std::less<>> places_;
    std::vector<std::string> taken_;
};

// A document's tables, each checked against the schema in the order of the file. Refers to the document.
class Sections {
  public:
    Sections(const Node& document, const std::string& name);

    const SectionValues& operator[](std::string_view section) const { return once_.at(section); }
    bool given(std::string_view section) const { return document_.find(section) != nullptr; }
    const std::vector<SectionValues>& rules() const { return rules_; }
    IdTables formats, optimizers, profiles;

  private:
    void check_section(const Entry&);
    void check_rules(const schema::Section&, const Entry&);

    const Node& document_;
    std::map<std::string_view, SectionValues> once_;
    std::vector<SectionValues> rules_;
};

}  // namespace halftone
