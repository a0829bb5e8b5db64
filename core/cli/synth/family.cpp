#include "core/cli/synth/family.hpp"

#include <charconv>
#include <stdexcept>

#include "core/base/text.hpp"

namespace halftone::synth {

namespace {

std::string_view trimmed(std::string_view text) {
    while (text.starts_with(' '))
        text.remove_prefix(1);
    while (text.ends_with(' '))
        text.remove_suffix(1);
    return text;
}

uint64_t factor(const Family& family, Scale scale, std::string_view word) {
    for (const Family::Dimension& dimension : family.dimensions)
        if (dimension.name == word) return dimension.size[static_cast<size_t>(scale)];
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size())
        throw std::logic_error("family table: no dimension '" + std::string(word) + "'");
    return number;
}

Shape evaluate(const Family& family, Scale scale, std::string_view expression) {
    Shape shape;
    for (const std::string& size : text::split(expression, ',')) {
        uint64_t sum = 0;
        for (const std::string& term : text::split(size, '+')) {
            uint64_t product = 1;
            for (const std::string& word : text::split(term, '*'))
                product *= factor(family, scale, trimmed(word));
            sum += product;
        }
        shape.push_back(sum);
    }
    return shape;
}

std::string numbered(std::string_view prefix, unsigned block) {
    constexpr std::string_view mark = "{i}";
    std::string name(prefix);
    const size_t at = name.find(mark);
    if (at != std::string::npos) name.replace(at, mark.size(), std::to_string(block));
    return name;
}

}  // namespace

const Family* find_family(std::string_view name) {
    for (const Family& family : families())
        if (family.name == name) return &family;
    return nullptr;
}

std::optional<Scale> find_scale(std::string_view name) {
    for (size_t i = 0; i < scale_names.size(); ++i)
        if (scale_names[i] == name) return static_cast<Scale>(i);
    return std::nullopt;
}

std::vector<TensorSpec> tensors(const Family& family, Scale scale, unsigned layers) {
    std::vector<TensorSpec> specs;
    for (const Family::Group& group : family.groups) {
        const unsigned blocks = group.per_layer == 0 ? 1 : group.per_layer * layers;
        for (unsigned block = 0; block < blocks; ++block)
            for (const Family::Row& row : group.rows)
                specs.push_back({numbered(group.prefix, block) + std::string(row.name),
                                 evaluate(family, scale, row.shape), row.kind});
    }
    return specs;
}

}  // namespace halftone::synth
