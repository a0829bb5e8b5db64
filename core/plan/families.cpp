#include "core/plan/families.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "core/base/os/file.hpp"
#include "core/base/os/process.hpp"
#include "core/base/text.hpp"
#include "core/pipeline/glob.hpp"
#include "core/plan/data_file.hpp"

namespace halftone {
namespace {

using data_file::refuse;
using data_file::Table;
using data_file::text_of;

bool is_glob(std::string_view text) {
    return text.find_first_of("*?[") != std::string_view::npos;
}

const Tensor* named(Header names, const std::string& name) {
    const auto found = std::ranges::lower_bound(names, name, {}, &Tensor::name);
    return found != names.end() && found->name == name ? &*found : nullptr;
}

// A name after the prefix, or any name that a glob covers there.
bool is_there(Header names, const std::string& prefix, const std::string& wanted) {
    if (!is_glob(wanted)) return named(names, prefix + wanted) != nullptr;
    const std::string head = prefix + wanted.substr(0, wanted.find_first_of("*?["));
    for (auto at = std::ranges::lower_bound(names, head, {}, &Tensor::name);
         at != names.end() && at->name.starts_with(head); ++at)
        if (glob_matches(wanted, std::string_view(at->name).substr(prefix.size()))) return true;
    return false;
}

bool has_shape(const Shape& shape, const std::string& wanted) {
    const std::vector<std::string> sides = text::split(wanted, ' ');
    if (sides.size() != shape.size()) return false;
    for (size_t i = 0; i < sides.size(); ++i)
        if (sides[i] != "*" && sides[i] != std::to_string(shape[i])) return false;
    return true;
}

bool speaks_for(const Evidence& evidence, Header names, const std::string& prefix) {
    const auto there = [&](const std::string& wanted) { return is_there(names, prefix, wanted); };
    return std::ranges::all_of(evidence.has, there) && std::ranges::none_of(evidence.lacks, there) &&
           std::ranges::all_of(evidence.shapes, [&](const auto& one) {
               const Tensor* found = named(names, prefix + one.first);
               return found && has_shape(found->shape, one.second);
           });
}

// The first that fits, and under which prefix.
template <typename T>
std::pair<const T*, std::string> first_of(const std::vector<T>& all, const std::vector<std::string>& prefixes,
                                          Header names, const std::string& loader) {
    for (const T& one : all)
        for (const std::string& prefix : prefixes)
            if (one.loader == loader && (prefix.empty() || one.prefixed) && speaks_for(one, names, prefix))
                return {&one, prefix};
    return {nullptr, ""};
}

void read_evidence(const Table& table, Evidence& to) {
    to.id = text_of(table.required("id"), table.what("id"));
    to.loader = text_of(table.required("loader"), table.what("loader"));
    to.name = to.id;
    table.read("name", to.name);
    const Node& has = table.required("has");
    table.read("has", to.has);
    if (to.has.empty()) refuse(has.place, table.what("has") + " is empty, and would fit every file");
    table.read("lacks", to.lacks);
    if (const Node* shapes = table.table("shapes"))
        for (const Entry& one : shapes->entries)
            to.shapes.emplace_back(one.key, text_of(one.value, table.what("shapes." + one.key)));
    to.prefixed = table.flag("prefixed").value_or(true);
}

void check_globs(const Table& table, std::string_view key) {
    if (const Node* list = table.list(key))
        for (const Node& item : list->items)
            if (const auto problem = glob_problem(item.text))
                refuse(item.place, fmt::format("{}: {}", table.what(key), *problem));
}

Family read_family(const Node& node) {
    const Table table(node, "[[family]]",
                      {"id", "name", "loader", "has", "lacks", "shapes", "prefixed", "columns", "rows",
                       "companions", "companions_say"});
    Family family;
    read_evidence(table, family);
    table.read("columns", family.columns);
    table.read("rows", family.rows);
    table.read("companions", family.companions);
    table.read("companions_say", family.companions_say);
    for (const std::string_view key : {"has", "lacks", "columns", "rows", "companions"})
        check_globs(table, key);
    return family;
}

FileKind read_kind(const Node& node) {
    const Table table(node, "[[kind]]",
                      {"id", "name", "loader", "has", "lacks", "shapes", "prefixed", "quantized", "says"});
    FileKind kind;
    read_evidence(table, kind);
    kind.quantized = table.flag("quantized").value_or(true);
    table.required("says");
    table.read("says", kind.says);
    for (const std::string_view key : {"has", "lacks"})
        check_globs(table, key);
    return kind;
}

}  // namespace

bool FoundFamily::is_among(const std::vector<std::string>& globs, std::string_view layer) const {
    if (!layer.starts_with(prefix)) return false;
    layer.remove_prefix(prefix.size());
    return std::ranges::any_of(globs, [&](const std::string& glob) { return glob_matches(glob, layer); });
}

bool FoundFamily::reads_columns(std::string_view layer) const {
    return family && is_among(family->columns, layer);
}

bool FoundFamily::reads_rows(std::string_view layer) const {
    return family && is_among(family->rows, layer);
}

bool FoundFamily::takes_no_companions(std::string_view layer) const {
    return family && is_among(family->companions, layer);
}

std::filesystem::path Families::installed_file() {
    return os::executable().parent_path().parent_path() / "share" / "halftone" / "families.toml";
}

Families Families::standard(const std::filesystem::path& own) {
    Families result;
    for (const std::filesystem::path& path : data_file::installed_and_own(installed_file(), own))
        result.add(data_file::text_of_file(path), os::utf8(path));
    return result;
}

void Families::add(const std::string& toml, const std::string& name) {
    const Node document = parse_document(toml, name);
    const Table top(document, "the file", {"prefixes", "family", "kind"});
    top.read("prefixes", prefixes_);
    std::vector<Family> families;
    std::vector<FileKind> kinds;
    if (const Node* list = top.list("family"))
        for (const Node& node : list->items)
            families.push_back(read_family(node));
    if (const Node* list = top.list("kind"))
        for (const Node& node : list->items)
            kinds.push_back(read_kind(node));
    families_.insert(families_.begin(), families.begin(), families.end());
    kinds_.insert(kinds_.begin(), kinds.begin(), kinds.end());
}

FoundFamily Families::family_of(Header names, const std::string& loader) const {
    FoundFamily found;
    std::tie(found.family, found.prefix) = first_of(families_, prefixes_, names, loader);
    return found;
}

const FileKind* Families::kind_of(Header names, const std::string& loader) const {
    return first_of(kinds_, prefixes_, names, loader).first;
}

}  // namespace halftone
