#pragma once

#include <functional>
#include <string>

#include <halftone/json.h>

#include "core/base/json.hpp"

namespace halftone {

// Builds an object from what a plugin tells a sink. Exit::plugin with `culprit` if that is no sound object: a
// key twice, no UTF-8, a number that is not finite, an object left open.
Json json_from_sink(const std::string& culprit, const std::function<void(const ht_json*)>& tell);

}  // namespace halftone
