#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <halftone/value.h>

namespace halftone {

// A value as a person wrote it, before anyone checked it: from TOML, a flag or a recipe.
struct GivenValue {
    std::variant<bool, int64_t, double, std::string, std::vector<std::string>> value;
    std::string where;  // "small.toml:12:3" or "--set"
};
using GivenOptions = std::map<std::string, GivenValue, std::less<>>;

// Option names that a plugin may not declare, because they are keys of the pipeline's own.
std::span<const std::string_view> reserved_option_names();

// A plugin's option table, checked when the plugin is loaded. Its texts live as long as the library.
class OptionTable {
  public:
    // Throws (Exit::plugin, `where` = the plugin's file) if a row makes no sense: bad or reserved name, twice
    // the same name, default outside its range or choices, unknown type.
    OptionTable(const ht_option* const* rows, uint64_t n, const std::string& where);

    size_t size() const { return rows_.size(); }
    const ht_option& row(size_t i) const { return rows_[i]; }
    std::vector<std::string> names() const;

  private:
    std::vector<ht_option> rows_;
};

std::string_view type_name(ht_type);                    // "whole number", "size in bytes"
std::vector<std::string> choices_of(const ht_option&);  // empty for all but HT_CHOICE

// A full set of values for a table, and what the ABI needs to hand it over. Copies share their values.
class OptionValues {
  public:
    // Defaults where `given` has nothing. Throws Exit::usage with the given value's place: "unknown option
    // 'blok_size' for format 'acme.int4'; did you mean 'block_size'?", "... must be between 1 and 4096, not
    // 0". `owner` is how messages name the plugin: "format 'acme.int4'".
    static OptionValues resolve(const OptionTable&, const GivenOptions& given, const std::string& owner);

    ht_values abi() const;

    // For recognize(): the plugin writes to the values, which are then checked against their rows, and what
    // they point at is copied. Exit::plugin if one is none of its type; `culprit` is how errors name the
    // plugin. Refusal if one is out of its range.
    ht_value* const* writable();
    void adopt_written(const OptionTable&, const std::string& culprit);

    // For recipes, plans and `plugins info`: every option with its value as TOML text, in the table's order.
    std::vector<std::pair<std::string, std::string>> as_toml() const;
    // Only what differs from the default, as "scaling=row element=e5m2".
    std::string summary() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace halftone
