#include "core/cli/plugins_command.hpp"

#include <algorithm>
#include <ostream>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/os/child.hpp"
#include "core/base/os/file.hpp"
#include "core/base/os/foreign_call.hpp"
#include "core/base/text.hpp"
#include "core/cli/arguments.hpp"
#include "core/cli/plugins_check.hpp"
#include "core/device/device.hpp"
#include "core/report/table.hpp"
#include "plugins/call_watch.hpp"
#include "plugins/registry.hpp"

namespace halftone::cli {
namespace {

constexpr ht_kind kinds[] = {HT_KIND_FORMAT, HT_KIND_OPTIMIZER, HT_KIND_MODEL, HT_KIND_DEVICE};

// What a listing says of one file: a library that cannot be loaded is listed with the reason, not left out.
struct Listed {
    PluginFile file;
    std::string version, summary, problem;
};

// What plugins say of themselves.
std::string harmless(std::string_view text) {
    return text::printable(text, std::string::npos);
}

Json problem_of(const std::string& text) {
    Json answer = Json::object();
    answer["problem"] = text;
    return answer;
}

// What loading it says. Functions that are missing count too.
Json looked_at(Registry& registry, const PluginFile& file) {
    try {
        const auto library = registry.library(file.kind, file.id);
        if (file.kind == HT_KIND_FORMAT) registry.format(file.id);
        if (file.kind == HT_KIND_MODEL) registry.model(file.id);
        return {{"version", library->descriptor().version}, {"summary", library->descriptor().summary}};
    } catch (const Error& error) {
        return problem_of(error.problem());
    }
}

// In a process of its own: a library that crashes or hangs while it is loaded is one row of the list.
Json looked_at_safely(Registry& registry, const PluginFile& file, double limit) {
    Json answer;
    std::string sentence;
    const os::ChildEnd end = os::in_child(
        [&](int descriptor) {
            os::name_foreign_ends({.descriptor = descriptor, .sentence = true});
            os::write_line(descriptor,
                           looked_at(registry, file).dump(-1, ' ', false, Json::error_handler_t::replace));
        },
        [&](std::string_view line) {
            if (!line.starts_with('{'))
                sentence = line;
            else if (Json parsed = Json::parse(line, nullptr, false); parsed.is_object())
                answer = std::move(parsed);
        },
        limit);
    if (answer.is_object()) return answer;
    if (end.late) return problem_of(fmt::format("loading it has not returned for {:g} s", limit));
    const std::string culprit =
        fmt::format("{} '{}' ({}) ", kind_name(file.kind), file.id, os::utf8(file.path));
    if (sentence.starts_with(culprit)) sentence.erase(0, culprit.size());
    if (sentence.empty()) sentence = "the process that loaded it ended with " + end.told();
    return problem_of(sentence);
}

std::vector<Listed> listed(Registry& registry, double limit) {
    std::vector<Listed> result;
    for (const PluginFile& file : registry.listing().files) {
        const Json answer =
            file.bundled ? looked_at(registry, file) : looked_at_safely(registry, file, limit);
        result.push_back(
            {file, answer.value("version", ""), answer.value("summary", ""), answer.value("problem", "")});
    }
    return result;
}

int list(Context& context, Registry& registry, bool json, double limit) {
    const std::vector<Listed> all = listed(registry, limit);
    if (json) {
        Json whole;
        whole["plugins"] = Json::array();
        for (const Listed& one : all) {
            Json row;
            row["kind"] = kind_name(one.file.kind);
            row["id"] = one.file.id;
            row["path"] = os::utf8(one.file.path);
            row["bundled"] = one.file.bundled;
            if (one.problem.empty()) {
                row["version"] = one.version;
                row["summary"] = one.summary;
            } else {
                row["problem"] = one.problem;
            }
            whole["plugins"].push_back(std::move(row));
        }
        whole["skipped"] = registry.listing().skipped;
        whole["unread"] = registry.listing().unread;
        whole["folders"] = Json::array();
        for (const auto& folder : registry.folders().in_order())
            whole["folders"].push_back(os::utf8(folder));
        context.out << pretty(whole);
        return 0;
    }
    TextTable table;
    table.columns = {{"kind"}, {"id"}, {"version"}, {"summary"}, {"from"}};
    table.elastic = 3;
    for (const Listed& one : all)
        table.rows.push_back({std::string(kind_name(one.file.kind)), one.file.id, one.version,
                              one.problem.empty() ? one.summary : "cannot be used: " + one.problem,
                              one.file.bundled ? "bundled" : os::utf8(one.file.path.parent_path())});
    context.out << table.text(context.terminal ? context.width : 0);
    for (const std::string& skipped : registry.listing().skipped)
        context.log.warning("passed over " + skipped);
    for (const std::string& folder : registry.listing().unread)
        context.log.warning(folder);
    return 0;
}

std::string range_of(const ht_option& row) {
    if (row.choices) return text::join(choices_of(row), " | ");
    return row.least != 0 || row.most != 0 ? fmt::format("{} to {}", row.least, row.most) : "";
}

std::string_view type_name(ht_type type) {
    static constexpr std::string_view names[] = {"",     "bool", "int",    "float",
                                                 "size", "text", "choice", "list"};
    return type >= HT_BOOL && type <= HT_LIST ? names[type] : "?";
}

std::shared_ptr<PluginLibrary> find(Registry& registry, const std::string& name) {
    // A path is something with a folder in it or with a library's suffix; anything else is an id.
    if (name.find('/') != std::string::npos || name.ends_with(".so")) return registry.library_from_file(name);
    std::vector<ht_kind> found;
    for (ht_kind kind : kinds)
        if (std::ranges::count(registry.ids(kind), name) > 0) found.push_back(kind);
    if (found.size() > 1)
        throw Error(Exit::usage, "", fmt::format("'{}' is the id of several plugins", name),
                    "add the kind: halftone plugins info " + std::string(kind_name(found[0])) + "-" + name);
    for (ht_kind kind : kinds) {
        const std::string prefix = std::string(kind_name(kind)) + "-";
        if (found.empty() && name.starts_with(prefix))
            return registry.library(kind, name.substr(prefix.size()));
    }
    // Without any, the registry says which formats there are and where it looked.
    return registry.library(found.empty() ? ht_kind{HT_KIND_FORMAT} : found[0], name);
}

// What a device plugin finds on this machine, or why it finds nothing.
struct Found {
    std::vector<Device::Info> devices;
    std::string problem;
};

Found devices_of(const PluginLibrary& library) {
    try {
        return {Device::list(library), ""};
    } catch (const DeviceFailure& failure) {
        return {{}, failure.what()};
    }
}

int info(Context& context, Registry& registry, const std::string& name, bool json) {
    const CallWatch watch(context.log);
    const std::shared_ptr<PluginLibrary> library = find(registry, name);
    const ht_plugin& plugin = library->descriptor();
    std::vector<Format::Label> labels;
    if (plugin.kind == HT_KIND_FORMAT) labels = Format(library).labels();
    Found found;
    if (plugin.kind == HT_KIND_DEVICE) found = devices_of(*library);
    if (json) {
        Json whole;
        whole["kind"] = kind_name(plugin.kind);
        whole["id"] = plugin.id;
        whole["version"] = plugin.version;
        whole["summary"] = plugin.summary;
        whole["license"] = plugin.license;
        whole["path"] = os::utf8(library->file().path);
        whole["options"] = Json::array();
        for (size_t i = 0; i < library->options().size(); ++i) {
            const ht_option& row = library->options().row(i);
            Json option;
            option["name"] = row.name;
            option["type"] = type_name(row.type);
            option["default"] = row.fallback;
            option["range"] = range_of(row);
            option["help"] = row.help;
            whole["options"].push_back(std::move(option));
        }
        whole["labels"] = Json::array();
        for (const Format::Label& label : labels)
            whole["labels"].push_back({{"label", label.label},
                                       {"options", label.options},
                                       {"loaders", label.loaders},
                                       {"activations", label.activations},
                                       {"hardware", label.hardware},
                                       {"remark", label.remark}});
        if (plugin.kind == HT_KIND_DEVICE) {
            whole["devices"] = Json::array();
            for (const Device::Info& device : found.devices)
                whole["devices"].push_back({{"name", device.name},
                                            {"memory_bytes", device.memory_bytes},
                                            {"free_bytes", device.free_bytes}});
            if (!found.problem.empty()) whole["problem"] = found.problem;
        }
        context.out << pretty(whole);
        return 0;
    }
    context.out << fmt::format("{} '{}' {} ({})\n{}\n{}\n", kind_name(plugin.kind), plugin.id, plugin.version,
                               harmless(plugin.license), harmless(plugin.summary),
                               harmless(os::utf8(library->file().path)));
    for (const Device::Info& device : found.devices)
        context.out << fmt::format("\nfound: {}, {:.1f} GiB of memory, {:.1f} GiB free\n",
                                   harmless(device.name),
                                   static_cast<double>(device.memory_bytes) / (1u << 30),
                                   static_cast<double>(device.free_bytes) / (1u << 30));
    if (!found.problem.empty()) context.out << "\ncannot be used here: " << harmless(found.problem) << "\n";
    if (library->options().size() > 0) {
        TextTable table;
        table.columns = {{"option"}, {"type"}, {"default"}, {"range"}, {"meaning"}};
        table.elastic = 4;
        for (size_t i = 0; i < library->options().size(); ++i) {
            const ht_option& row = library->options().row(i);
            table.rows.push_back(
                {row.name, std::string(type_name(row.type)), row.fallback, range_of(row), row.help});
        }
        context.out << "\n" << table.text(0);
    }
    if (!labels.empty()) {
        TextTable table;
        table.columns = {{"stored as"}, {"with"}, {"loaded by"}, {"activations"}, {"fast on"}, {"remark"}};
        for (const Format::Label& label : labels)
            table.rows.push_back({label.label, label.options,
                                  label.loaders.empty() ? "nobody" : label.loaders, label.activations,
                                  label.hardware, label.remark});
        context.out << "\n" << table.text(0);
    }
    return 0;
}

// The labels of bundled formats, but for the one that is to be checked.
std::vector<std::string> labels_of_others(Registry& registry, const std::string& checked) {
    std::vector<std::string> labels;
    for (const PluginFile& file : registry.listing().files) {
        const std::string stem = "format-" + file.id;
        const bool same =
            checked == file.id || checked == stem || os::utf8(std::filesystem::path(checked).stem()) == stem;
        if (file.kind != HT_KIND_FORMAT || !file.bundled || same) continue;
        try {
            for (const Format::Label& label : registry.format(file.id)->labels())
                if (!label.label.empty()) labels.push_back(label.label);
        } catch (const Error&) {  // that one's own check will tell
        }
    }
    return labels;
}

int plugins(Context& context, const Arguments& arguments) {
    const std::string what = arguments.text("list|info|check");
    const std::shared_ptr<Registry> registry =
        what == "list" ? context.listed_registry() : context.registry();
    const bool json = arguments.has("json");
    if (what != "check" && arguments.has("seed"))
        throw Error(Exit::usage, "", "--seed is for 'halftone plugins check'");
    if (what == "list" && arguments.has("NAME|FILE"))
        throw Error(Exit::usage, "",
                    fmt::format("'{}' is one word too many", text::printable(arguments.text("NAME|FILE"))),
                    "'halftone plugins info NAME' tells about one plugin");
    const std::optional<uint64_t> timeout = arguments.number("timeout", 1, 24 * 3600);
    if (what == "info" && timeout)
        throw Error(Exit::usage, "", "--timeout is for 'halftone plugins check' and 'halftone plugins list'");
    if (what == "list") return list(context, *registry, json, static_cast<double>(timeout.value_or(10)));
    if (what == "info" || what == "check") {
        if (!arguments.has("NAME|FILE"))
            throw Error(
                Exit::usage, "", "which plugin?",
                fmt::format("for example: halftone plugins {} NAME, with a name that 'halftone plugins "
                            "list' shows",
                            what));
        const std::string name = arguments.text("NAME|FILE");
        if (what == "info") return info(context, *registry, name, json);
        return check_plugin(context, {.load = [&] { return find(*registry, name); },
                                      .named = name,
                                      .labels_of_others = labels_of_others(*registry, name),
                                      .seed = arguments.number("seed", 0, UINT64_MAX).value_or(1),
                                      .timeout = static_cast<double>(timeout.value_or(30)),
                                      .json = json});
    }
    const std::vector<std::string> known = {"list", "info", "check"};
    throw Error(
        Exit::usage, "",
        fmt::format("'plugins {}' is nothing{}", text::printable(what), text::did_you_mean(what, known)),
        "it is 'halftone plugins list', 'halftone plugins info NAME' or 'halftone plugins check NAME'");
}

}  // namespace

Command plugins_command() {
    return make_command(
        {.name = "plugins",
         .summary = "list plugins, tell about one, or check one",
         .synopsis = "halftone plugins list|info|check [NAME|FILE] [options]",
         .about = "Lists the plugins that are found and where they lie, prints one's options and what\n"
                  "loaders make of its results, or holds a format to what every format promises, and\n"
                  "says with exit code 4 which promise it breaks. A file is loaded, and so its code is\n"
                  "run, wherever it lies."},
        [](Arguments& arguments) {
            arguments.operand("list|info|check", true, "what to do")
                .operand("NAME|FILE", false, "a plugin's id, or a library file")
                .flag("json", "print everything as JSON")
                .option("seed", "N", "what a check tries: the same number, the same matrices; default 1")
                .option("timeout", "SECONDS",
                        "how long a call of a check may take, default 30, or loading a library for the list, "
                        "default 10");
        },
        plugins);
}

}  // namespace halftone::cli
