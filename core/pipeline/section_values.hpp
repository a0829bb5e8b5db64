#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/pipeline/document.hpp"
#include "core/pipeline/schema.hpp"
#include "plugins/options.hpp"

namespace halftone {

// Throws Exit::usage unless the value is of the key's type, in its range and available. The entry's key and
// value are where it is named.
void check_value(const schema::Key&, const Entry&);

// One table of a pipeline, checked against the schema when it is made. Refers to the document.
class SectionValues {
  public:
    // `table` is null for a section that was not given; `place` then says where it is missed.
    SectionValues(const schema::Section&, const Node* table, Place place);

    const Entry* given(std::string_view key) const;  // null if absent
    std::string where() const { return place_.text(); }
    std::string where(std::string_view key) const;  // of its value, or of the section

    // What was given, or the default of the schema.
    bool flag(std::string_view key) const;
    uint64_t whole(std::string_view key) const;  // integers that are never negative, and sizes
    double real(std::string_view key) const;
    std::string text(std::string_view key) const;
    std::vector<std::string> texts(std::string_view key) const;
    // Relative to the folder if it was written in the file; empty if not given.
    std::filesystem::path path(std::string_view key, const std::filesystem::path& folder) const;

    // Everything that is no key of the host: options of the format named there.
    const GivenOptions& options() const { return options_; }

  private:
    void check_entry(const Entry&);
    const schema::Key& key(std::string_view name) const;

    const schema::Section& section_;
    const Node* table_;
    Place place_;
    GivenOptions options_;
};

// An option of a plugin as it was written. Exit::usage for what no option can be.
GivenValue option_from(const Entry&, const schema::Section&);

// Is the name the pipeline's own, so that no plugin can have such an option?
bool is_reserved(std::string_view option);

// Exit::usage for a key that stands where it means nothing, with the one that was probably meant.
[[noreturn]] void refuse_unknown_key(const Entry&, const schema::Section&);

// Exit::usage unless it could be the id of a plugin.
void check_plugin_id(const std::string& id, std::string_view kind, const Place&);

}  // namespace halftone
