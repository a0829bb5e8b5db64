#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "plugins/options.hpp"

namespace halftone {

// A value that fits its row.
struct OptionValue {
    int64_t whole = 0;  // as in ht_value
    double real = 0;
    std::string text;
    std::vector<std::string> items;
};

// Why a value does not fit, to be said after "option 'x' of format 'y'": "must be between 1 and 4096, not 0".
class Misfit : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Checks a written value against its row; throws Misfit.
OptionValue fitted(const ht_option&, const GivenValue&);

// A row's default, from its text in the table; throws Misfit.
OptionValue default_of(const ht_option&);

// Other names for choices: each with the choice that it stands for.
std::vector<std::pair<std::string, std::string>> choice_aliases_of(const ht_option&);

// As TOML: true, 128, 0.5, "row", ["a", "b"].
std::string as_toml(const ht_option&, const OptionValue&);

}  // namespace halftone
