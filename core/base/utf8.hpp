#pragma once

#include <cstddef>
#include <string_view>

namespace halftone {

// What stands at the front of a text: a character, or one byte that is not part of any.
struct Utf8Step {
    size_t bytes;
    char32_t character;
    bool valid;
};

// Of a text that is not empty. Overlong forms, surrogates and numbers beyond U+10FFFF are no characters.
Utf8Step utf8_step(std::string_view);

}  // namespace halftone
