#pragma once

#include <string>

#include "core/base/json.hpp"
#include "core/plan/loader_check.hpp"

namespace halftone {

// For people: layers of one label and one fate together, what is refused first.
std::string check_text(const LoaderCheck&, const Loader&);
Json check_json(const LoaderCheck&, const Loader&);

}  // namespace halftone
