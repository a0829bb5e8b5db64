#include "core/base/json.hpp"

#include "core/base/printable.hpp"

namespace halftone {

std::string pretty(const Json& value) {
    return text::json_printable(value.dump(2, ' ', false, Json::error_handler_t::replace)) + "\n";
}

std::string in_one_line(const Json& value) {
    return text::json_printable(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace halftone
