#include "core/checkpoint/output_names.hpp"

#include <fmt/format.h>

#include "core/base/os/file.hpp"
#include "core/base/text.hpp"
#include "core/checkpoint/writer.hpp"

namespace halftone {

std::vector<std::filesystem::path> names_of_output(const std::filesystem::path& output, size_t files) {
    if (files == 1) return {output};
    std::vector<std::filesystem::path> names;
    for (size_t i = 0; i < files; ++i)
        names.push_back(shard_path(output, i, files));
    names.push_back(index_path(output));
    return names;
}

std::string without_shard_number(std::string_view name) {
    const auto digits_before = [&](size_t end) {  // where they begin
        size_t begin = end;
        while (begin > 0 && name[begin - 1] >= '0' && name[begin - 1] <= '9')
            --begin;
        return begin;
    };
    constexpr std::string_view middle = "-of-";
    constexpr size_t fewest_digits = 5;
    for (size_t at = name.rfind(middle); at != std::string_view::npos && at > 0;
         at = name.rfind(middle, at - 1)) {
        const size_t number = digits_before(at), total = at + middle.size();
        size_t end = total;
        while (end < name.size() && name[end] >= '0' && name[end] <= '9')
            ++end;
        const bool extension = end == name.size() || (name[end] == '.' && name.rfind('.') == end);
        if (at - number < fewest_digits || end - total < fewest_digits || !extension) continue;
        if (number == 0 || name[number - 1] != '-') continue;
        return std::string(name.substr(0, number - 1)) + std::string(name.substr(end));
    }
    return "";
}

std::string quoted(const std::filesystem::path& path) {
    return fmt::format("'{}'", text::printable(os::utf8(path), std::string::npos));
}

}  // namespace halftone
