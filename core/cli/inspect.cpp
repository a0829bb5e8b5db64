#include "core/cli/inspect.hpp"

#include <algorithm>
#include <map>
#include <ostream>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/os/file.hpp"
#include "core/base/printable.hpp"
#include "core/base/text.hpp"
#include "core/checkpoint/checkpoint.hpp"
#include "core/checkpoint/quantized.hpp"
#include "core/cli/checkpoint_arguments.hpp"
#include "core/pipeline/glob.hpp"
#include "core/report/table.hpp"

namespace halftone::cli {
namespace {

constexpr std::string_view recipe_key = "halftone.recipe";

struct Count {
    uint64_t tensors = 0, elements = 0, bytes = 0;

    void add(const Tensor& tensor) {
        ++tensors;
        elements += element_count(tensor.shape).value_or(0);
        bytes += tensor.bytes;
    }
};

// What is to be shown, whether as text or as JSON.
struct Inspection {
    const Checkpoint& checkpoint;
    std::vector<const Tensor*> tensors = {};  // those that the filter lets through, in the order wanted
    Count all = {}, shown = {};
    std::vector<std::pair<std::string, Count>> by_dtype = {};  // of those shown, largest first
    std::vector<QuantizedLayer> layers = {};
    std::string layers_problem = {};  // why quantized layers could not be told
};

// Names, paths and values come from strangers' files.
std::string harmless(std::string_view text) {
    return text::printable(text, std::string::npos);
}

std::string_view without_last_newline(std::string_view text) {
    if (text.ends_with('\n')) text.remove_suffix(1);
    return text;
}

Inspection look_at(const Checkpoint& checkpoint, const Arguments& arguments) {
    const std::string filter = arguments.text("filter", "*");
    if (const auto problem = glob_problem(filter))
        throw Error(Exit::usage, "", fmt::format("--filter '{}': {}", text::printable(filter), *problem),
                    "for example: --filter 'double_blocks.*.weight'");
    const bool by_size = arguments.choice("sort", {"name", "size"}, "name") == "size";

    Inspection found{.checkpoint = checkpoint};
    std::map<std::string, Count> by_dtype;
    for (const Tensor& tensor : checkpoint.tensors()) {
        found.all.add(tensor);
        if (!glob_matches(filter, tensor.name)) continue;
        found.tensors.push_back(&tensor);
        found.shown.add(tensor);
        by_dtype[std::string(dtype::name(tensor.dtype))].add(tensor);
    }
    if (by_size) std::ranges::stable_sort(found.tensors, std::greater<>(), &Tensor::bytes);
    found.by_dtype.assign(by_dtype.begin(), by_dtype.end());
    std::ranges::stable_sort(found.by_dtype, std::greater<>(),
                             [](const auto& row) { return row.second.bytes; });
    try {
        found.layers = quantized_layers(checkpoint);
    } catch (const Error& problem) {
        // A broken entry is no reason to hide everything else from whoever wants to find out what is wrong.
        if (problem.code() != Exit::input) throw;
        found.layers_problem = problem.problem();
    }
    return found;
}

// ------------------------------------------------------------------------------------------------ JSON

Json json(const Count& count) {
    Json out;
    out["tensors"] = count.tensors;
    out["elements"] = count.elements;
    out["bytes"] = count.bytes;
    return out;
}

Json json(const Metadata& metadata) {
    Json out = Json::object();
    for (const auto& [key, value] : metadata)
        out[key] = value;
    return out;
}

Json files_json(const Checkpoint& checkpoint) {
    Json out = Json::array();
    for (const CheckpointFile& file : checkpoint.files()) {
        Json row;
        row["path"] = os::utf8(file.path);
        row["bytes"] = file.size;
        row["header_bytes"] = file.header_bytes;
        row["header_sha256"] = file.header_sha256;
        row["tensors"] = file.tensors.size();
        row["metadata"] = json(file.metadata);
        out.push_back(std::move(row));
    }
    return out;
}

Json tensors_json(const Inspection& found) {
    Json out = Json::array();
    for (const Tensor* tensor : found.tensors) {
        Json row;
        row["name"] = tensor->name;
        row["dtype"] = dtype::name(tensor->dtype);
        row["shape"] = tensor->shape;
        row["bytes"] = tensor->bytes;
        row["file"] = tensor->file;
        row["offset"] = tensor->offset;
        out.push_back(std::move(row));
    }
    return out;
}

Json quantization_json(const Inspection& found) {
    Json out;
    if (!found.layers_problem.empty()) out["problem"] = found.layers_problem;
    out["layers"] = Json::array();
    for (const QuantizedLayer& layer : found.layers) {
        Json row;
        row["name"] = layer.name;
        row["label"] = layer.label;
        row["evidence"] = layer.evidence;
        row["companions"] = layer.companions;
        out["layers"].push_back(std::move(row));
    }
    return out;
}

void print_json(std::ostream& out, const Inspection& found) {
    Json whole;
    whole["path"] = os::utf8(found.checkpoint.path());
    whole["files"] = files_json(found.checkpoint);
    whole["all"] = json(found.all);
    whole["shown"] = json(found.shown);
    whole["by_dtype"] = Json::object();
    for (const auto& [name, count] : found.by_dtype)
        whole["by_dtype"][name] = json(count);
    whole["quantization"] = quantization_json(found);
    whole["metadata"] = json(found.checkpoint.metadata());
    whole["remarks"] = found.checkpoint.remarks();
    whole["tensors"] = tensors_json(found);
    out << pretty(whole);
}

// ------------------------------------------------------------------------------------------------ text

std::string shape_text(const Shape& shape) {
    return shape.empty() ? "scalar" : to_string(shape);
}

void print_tensors(std::ostream& out, const Inspection& found, int width) {
    const bool several = found.checkpoint.files().size() > 1;
    TextTable table;
    table.columns = {{"tensor"}, {"dtype"}, {"shape"}, {"size", true}};
    if (several) table.columns.push_back({"file", true});
    for (const Tensor* tensor : found.tensors) {
        table.rows.push_back({harmless(tensor->name), std::string(dtype::name(tensor->dtype)),
                              shape_text(tensor->shape), text::bytes(tensor->bytes)});
        if (several) table.rows.back().push_back(std::to_string(tensor->file + 1));
    }
    if (!table.rows.empty()) out << table.text(width) << "\n";
}

void print_files(std::ostream& out, const Checkpoint& checkpoint, int width) {
    if (checkpoint.files().size() < 2) return;
    TextTable table;
    table.columns = {{"file", true}, {"path"}, {"tensors", true}, {"header", true}, {"size", true}};
    table.elastic = 1;
    for (size_t i = 0; i < checkpoint.files().size(); ++i) {
        const CheckpointFile& file = checkpoint.files()[i];
        table.rows.push_back({std::to_string(i + 1), harmless(os::utf8(file.path)),
                              text::grouped(file.tensors.size()), text::bytes(file.header_bytes),
                              text::bytes(file.size)});
    }
    out << table.text(width) << "\n";
}

void print_totals(std::ostream& out, const Inspection& found) {
    TextTable table;
    table.columns = {{"dtype"}, {"tensors", true}, {"elements", true}, {"size", true}};
    const auto add = [&](const std::string& name, const Count& count) {
        table.rows.push_back(
            {name, text::grouped(count.tensors), text::grouped(count.elements), text::bytes(count.bytes)});
    };
    for (const auto& [name, count] : found.by_dtype)
        add(name, count);
    if (found.by_dtype.size() != 1) add("total", found.shown);
    out << table.text(0);
    if (found.shown.tensors != found.all.tensors)
        out << fmt::format("of all {}, {}\n", text::plural(found.all.tensors, "tensor"),
                           text::bytes(found.all.bytes));
    out << "\n";
}

void print_quantization(std::ostream& out, const Inspection& found) {
    if (!found.layers_problem.empty()) {
        out << "quantization: cannot be told: " << harmless(found.layers_problem) << "\n";
        return;
    }
    if (found.layers.empty()) {
        out << "quantization: none found\n";
        return;
    }
    struct Group {
        uint64_t layers = 0;
        const QuantizedLayer* example = nullptr;
    };
    std::map<std::string, Group> groups;
    for (const QuantizedLayer& layer : found.layers) {
        Group& group = groups[layer.label];
        if (group.layers++ == 0) group.example = &layer;
    }
    out << fmt::format("quantization: {}\n", text::plural(found.layers.size(), "layer"));
    for (const auto& [label, group] : groups)
        out << fmt::format("  {} as {}, for example by {}\n", text::grouped(group.layers),
                           label.empty() ? "something that the file does not name" : harmless(label),
                           harmless(group.example->evidence));
}

void print_metadata(std::ostream& out, const Metadata& metadata, bool whole) {
    if (metadata.empty()) {
        out << "metadata: none\n";
        return;
    }
    constexpr size_t most_shown = 100;
    out << "metadata:\n";
    for (const auto& [key, value] : metadata) {
        out << "  " << harmless(key) << ":";
        const std::string line = harmless(value);
        if (!whole && line.size() > most_shown) {
            out << " " << text::printable(value, most_shown)
                << fmt::format(" ({} bytes; --metadata prints all)\n", text::grouped(value.size()));
        } else if (value.find('\n') == std::string::npos) {
            out << " " << line << "\n";
        } else {
            out << "\n";
            for (const std::string& part : text::split(without_last_newline(value), '\n'))
                out << (part.empty() ? "" : "    ") << harmless(part) << "\n";
        }
    }
}

void print_text(Context& context, const Inspection& found, bool whole_metadata) {
    const int width = context.terminal ? context.width : 0;
    const Checkpoint& checkpoint = found.checkpoint;
    uint64_t file_bytes = 0;
    for (const CheckpointFile& file : checkpoint.files())
        file_bytes += file.size;
    print_tensors(context.out, found, width);
    print_files(context.out, checkpoint, width);
    context.out << fmt::format("{}: {}, {} in {}\n\n", harmless(os::utf8(checkpoint.path())),
                               text::plural(found.all.tensors, "tensor"), text::bytes(file_bytes),
                               text::plural(checkpoint.files().size(), "file"));
    print_totals(context.out, found);
    print_quantization(context.out, found);
    print_metadata(context.out, checkpoint.metadata(), whole_metadata);
}

int print_recipe(Context& context, const Checkpoint& checkpoint) {
    for (const auto& [key, value] : checkpoint.metadata()) {
        if (key != recipe_key) continue;
        context.out << text::toml_printable(value);
        return 0;
    }
    throw Error(Exit::input, os::utf8(checkpoint.path()), "there is no recipe in it",
                "it was made without a recipe (--no-recipe), or not by halftone");
}

int inspect(Context& context, const Arguments& arguments) {
    const bool as_json = arguments.has("json");
    if (arguments.has("recipe") && (as_json || arguments.has("filter") || arguments.has("sort")))
        throw Error(Exit::usage, "", "--recipe prints the recipe and nothing else",
                    "leave out --json, --filter and --sort");
    const Checkpoint checkpoint = Checkpoint::open(arguments.text("FILE"));
    if (arguments.has("recipe")) return print_recipe(context, checkpoint);
    const Inspection found = look_at(checkpoint, arguments);
    if (as_json) {
        print_json(context.out, found);
        return 0;
    }
    warn_of_remarks(context, checkpoint);
    print_text(context, found, arguments.has("metadata"));
    return 0;
}

void declare(Arguments& arguments) {
    arguments.operand("FILE", true, "a safetensors file, an index of shards, or a folder holding one")
        .flag("json", "print everything as JSON, sizes in bytes")
        .flag("metadata", "print metadata whole, however long")
        .flag("recipe", "print the pipeline that made the file, and nothing else")
        .option("filter", "GLOB", "only tensors whose whole name matches; * crosses dots")
        .option("sort", "KEY", "name or size (largest first); default name");
}

}  // namespace

Command inspect_command() {
    return make_command(
        {.name = "inspect",
         .summary = "show what is in a checkpoint",
         .synopsis = "halftone inspect FILE [options]",
         .about = "Prints a checkpoint's tensors, their types and sizes, what was quantized and how "
                  "one can\n"
                  "tell, and the metadata. Only headers and markers are read, never weights.\n"
                  "\n"
                  "  halftone inspect --recipe quantized.safetensors > pipeline.toml"},
        declare, inspect);
}

}  // namespace halftone::cli
