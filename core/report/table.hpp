#pragma once

#include <string>
#include <vector>

namespace halftone {

// A table of text: columns as wide as they need; if a width is given and exceeded, the `elastic` column is
// cut in the middle, where tensor names say least. Whatever a cell contains, it stays on its line.
struct TextTable {
    struct Column {
        std::string title;
        bool right = false;
    };
    std::vector<Column> columns;
    std::vector<std::vector<std::string>> rows;
    size_t elastic = 0;

    std::string text(int width) const;

  private:
    std::string text_of_printable(int width) const;
};

}  // namespace halftone
