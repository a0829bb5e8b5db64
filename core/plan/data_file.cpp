#include "core/plan/data_file.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/os/file.hpp"
#include "core/base/os/process.hpp"
#include "core/base/text.hpp"
#include "core/tensor/dtype.hpp"

namespace halftone::data_file {
namespace {

constexpr uint64_t largest_file = 1 << 20;

bool is_there(const std::filesystem::path& path) {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
}

}  // namespace

void refuse(const Place& place, const std::string& what, const std::string& advice) {
    throw Error(Exit::usage, place.text(), what, advice);
}

const std::string& text_of(const Node& node, const std::string& what) {
    if (node.kind != Node::Kind::text)
        refuse(node.place, fmt::format("{} must be a text, not {}", what, described(node)));
    return node.text;
}

std::string plain(const Node& node, const std::string& what) {
    switch (node.kind) {
        case Node::Kind::text:
            return node.text;
        case Node::Kind::integer:
            return std::to_string(node.integer);
        case Node::Kind::boolean:
            return node.boolean ? "true" : "false";
        default:
            refuse(node.place,
                   fmt::format("{} must be a number, a text, true or false, not {}", what, described(node)));
    }
}

std::string text_of_file(const std::filesystem::path& path) {
    const os::File file = os::File::open_to_read(path);
    if (file.size() > largest_file)
        fail(Exit::usage, os::utf8(path), "has {} bytes; no file of this kind is that long", file.size());
    std::string text(file.size(), '\0');
    file.read(0, std::as_writable_bytes(std::span(text)));
    return text;
}

std::vector<std::filesystem::path> installed_and_own(const std::filesystem::path& installed,
                                                     const std::filesystem::path& own) {
    std::vector<std::filesystem::path> paths;
    if (is_there(installed)) paths.push_back(installed);
    if (!own.empty()) {
        paths.push_back(own);
    } else if (const std::filesystem::path folder = os::user_config_folder(); !folder.empty()) {
        const std::filesystem::path users = folder / "halftone" / installed.filename();
        if (is_there(users)) paths.push_back(users);
    }
    return paths;
}

Table::Table(const Node& node, std::string title, const std::vector<std::string>& keys)
    : node_(node), title_(std::move(title)) {
    if (node.kind != Node::Kind::table)
        refuse(node.place, fmt::format("expected a table {}, but found {}", title_, described(node)));
    for (const Entry& entry : node.entries)
        if (std::ranges::find(keys, entry.key) == keys.end())
            refuse(entry.place,
                   fmt::format("{} has no key '{}'{}", title_, text::printable(entry.key, 60),
                               text::did_you_mean(entry.key, keys)),
                   "it has " + text::join(keys, ", "));
}

const Node* Table::given(std::string_view key) const {
    const Entry* entry = node_.find(key);
    return entry ? &entry->value : nullptr;
}

const Node& Table::required(std::string_view key) const {
    const Node* value = given(key);
    if (!value) refuse(node_.place, fmt::format("{} needs '{}'", title_, key));
    return *value;
}

std::string Table::what(std::string_view key) const {
    return fmt::format("{} {}", title_, key);
}

void Table::read(std::string_view key, std::string& to) const {
    if (const Node* value = given(key)) to = text_of(*value, what(key));
}

void Table::read(std::string_view key, std::optional<std::string>& to) const {
    if (const Node* value = given(key)) to = text_of(*value, what(key));
}

std::optional<bool> Table::flag(std::string_view key) const {
    const Node* value = given(key);
    if (!value) return std::nullopt;
    if (value->kind != Node::Kind::boolean)
        refuse(value->place, fmt::format("{} must be true or false, not {}", what(key), described(*value)));
    return value->boolean;
}

const Node* Table::list(std::string_view key) const {
    const Node* value = given(key);
    if (value && value->kind != Node::Kind::list)
        refuse(value->place, fmt::format("{} must be a list, not {}", what(key), described(*value)));
    return value;
}

const Node* Table::table(std::string_view key) const {
    const Node* value = given(key);
    if (value && value->kind != Node::Kind::table)
        refuse(value->place,
               fmt::format("{} must be a table of texts, not {}", what(key), described(*value)));
    return value;
}

void Table::read(std::string_view key, std::vector<std::string>& to,
                 std::span<const std::string> known) const {
    const Node* value = list(key);
    if (!value) return;
    to.clear();
    for (const Node& item : value->items) {
        const std::string& one = text_of(item, "each of " + what(key));
        if (!known.empty() && std::ranges::find(known, one) == known.end())
            refuse(item.place, fmt::format("{}: there is no '{}'{}", what(key), text::printable(one, 60),
                                           text::did_you_mean(one, known)));
        to.push_back(one);
    }
}

void Table::read_dtypes(std::string_view key, std::vector<std::string>& to) const {
    read(key, to);
    if (const Node* dtypes = list(key))
        for (const Node& dtype : dtypes->items)
            if (!dtype::from_name(dtype.text))
                refuse(dtype.place,
                       fmt::format("{}: there is no type '{}'", what(key), text::printable(dtype.text, 60)),
                       "types are named as in safetensors: F32, F8_E4M3, U8");
}

}  // namespace halftone::data_file
