#include "core/report/table.hpp"

#include <algorithm>
#include <utility>

#include "core/base/text.hpp"

namespace halftone {
namespace {

// Columns that a terminal shows: UTF-8 continuation bytes take none. Good enough for the names of tensors.
size_t shown_width(const std::string& text) {
    return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string fitted(const std::string& text, size_t width) {
    if (shown_width(text) <= width || text.size() != shown_width(text) || width < 5) return text;
    const size_t tail = (width - 1) * 2 / 3, head = width - 1 - tail;
    return text.substr(0, head) + "\xe2\x80\xa6" + text.substr(text.size() - tail);
}

std::string padded(const std::string& text, size_t width, bool right) {
    const size_t have = shown_width(text);
    const std::string space(width > have ? width - have : 0, ' ');
    return right ? space + text : text + space;
}

}  // namespace

std::string TextTable::text(int width) const {
    TextTable shown = *this;  // cells hold names from files
    const auto made_printable = [](Row row) {
        for (std::string& cell : row)
            cell = text::printable(cell, std::string::npos);
        return row;
    };
    for (Row& row : shown.rows)
        row = made_printable(std::move(row));
    shown.row_at = [&](size_t i) { return made_printable(row_at(i)); };
    return shown.text_of_printable(width);
}

std::string TextTable::text_of_printable(int width) const {
    std::vector<size_t> widths;
    for (const Column& column : columns)
        widths.push_back(shown_width(column.title));
    const auto each_row = [&](const auto& visit) {
        for (const Row& row : rows)
            visit(row);
        for (size_t i = 0; i < more_rows; ++i)
            visit(row_at(i));
    };
    each_row([&](const Row& row) {
        for (size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], shown_width(row[i]));
    });
    size_t total = 2 * (columns.size() - 1);
    for (size_t one : widths)
        total += one;
    constexpr size_t least_elastic = 12;
    if (width > 0 && total > static_cast<size_t>(width)) {
        const size_t excess = total - static_cast<size_t>(width);
        widths[elastic] = widths[elastic] > excess + least_elastic ? widths[elastic] - excess : least_elastic;
    }
    std::string result;
    const auto add_row = [&](const auto& cell) {
        std::string line;
        for (size_t i = 0; i < columns.size(); ++i) {
            const std::string text = i == elastic ? fitted(cell(i), widths[i]) : cell(i);
            line += (i ? "  " : "") + padded(text, widths[i], columns[i].right);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        result += line + "\n";
    };
    add_row([&](size_t i) { return columns[i].title; });
    each_row(
        [&](const Row& row) { add_row([&](size_t i) { return i < row.size() ? row[i] : std::string(); }); });
    return result;
}

}  // namespace halftone
