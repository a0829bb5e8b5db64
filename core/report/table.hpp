#pragma once

#include <functional>
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
    using Row = std::vector<std::string>;
    std::vector<Row> rows;
    // More rows, made as they are needed: a table of a million tensors is larger than all that is known of
    // them.
    size_t more_rows = 0;
    std::function<Row(size_t)> row_at = {};
    size_t elastic = 0;

    std::string text(int width) const;

  private:
    std::string text_of_printable(int width) const;
};

}  // namespace halftone
