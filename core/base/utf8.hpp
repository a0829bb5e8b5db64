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

// Whether a character can make a text look like another one: control characters, marks that turn the
// direction of writing, characters without width or shape, tags, and numbers that Unicode gives to no
// character.
bool is_deceptive(char32_t);

}  // namespace halftone
