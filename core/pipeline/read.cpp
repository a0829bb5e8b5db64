#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "core/base/error.hpp"
#include "core/base/os/file.hpp"
#include "core/base/text.hpp"
#include "core/checkpoint/foreign_format.hpp"
#include "core/pipeline/glob.hpp"
#include "core/pipeline/overrides.hpp"
#include "core/pipeline/pipeline.hpp"
#include "core/pipeline/rounding.hpp"
#include "core/pipeline/sections.hpp"
#include "core/pipeline/treatments.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t largest_file = uint64_t{16} << 20;

// A choice of the schema as a value of an enumeration, in the schema's order.
template <class Enumeration>
Enumeration choice(const SectionValues& values, const schema::Key& key) {
    const auto found = std::ranges::find(key.choices, values.text(key.name));
    return static_cast<Enumeration>(found - key.choices.begin());
}

void require_path(const SectionValues& values, std::string_view section, const char* flag) {
    if (!values.given("path"))
        throw Error(Exit::usage, values.where(), fmt::format("[{}] needs a path", section),
                    fmt::format("write it there, or give it with {}", flag));
}

bool is_from_file(const SectionValues& values, std::string_view key) {
    const Entry* entry = values.given(key);
    return entry && !entry->value.from_command_line;
}

// As far as names tell: neither file need exist.
bool same_place(const fs::path& a, const fs::path& b) {
    const auto settled = [](const fs::path& path) {
        std::error_code no_working_directory;
        const fs::path absolute = fs::absolute(path, no_working_directory);
        return (no_working_directory ? path : absolute).lexically_normal();
    };
    return settled(a) == settled(b);
}

class Reader {
  public:
    Reader(Node document, const std::string& name, const fs::path& folder, std::vector<std::string> warnings)
        : document_(std::move(document)),
          folder_(folder),
          sections_(document_, name),
          treatments_(sections_) {
        result_.where = name;
        result_.warnings = std::move(warnings);
    }

    Pipeline read() {
        read_files();
        read_model();
        read_quantize();
        for (const SectionValues& rule : sections_.rules())
            read_rule(rule);
        check_rule_names();
        read_fallback();
        result_.rounding = read_rounding(sections_["rounding"], folder_);
        const SectionValues& run = sections_["run"];
        result_.run.threads = static_cast<unsigned>(run.whole("threads"));
        result_.run.memory = run.whole("memory");
        result_.run.device = run.text("device");
        result_.run.verify = run.flag("verify");
        for (const IdTables* tables : {&sections_.formats, &sections_.optimizers, &sections_.profiles})
            for (std::string& line : tables->unused())
                result_.warnings.push_back(std::move(line));
        return std::move(result_);
    }

  private:
    void read_files() {
        const SectionValues &input = sections_["input"], &output = sections_["output"],
                            &report = sections_["report"];
        require_path(input, "input", "-i");
        require_path(output, "output", "-o");
        result_.input = {input.path("path", folder_), input.where("path"), input.path("statistics", folder_),
                         input.where("statistics")};
        Pipeline::Output& out = result_.output;
        out.path = output.path("path", folder_);
        out.where = output.where("path");
        refuse_foreign_name(out.path, out.where);
        if (same_place(result_.input.path, out.path))
            throw Error(Exit::usage, out.where, "the output is the input",
                        "Halftone never changes its input; name another file");
        out.replace = output.flag("replace");
        out.kept = choice<Kept>(output, *schema::find_key("output", "kept"));
        out.shard_size = output.whole("shard_size");
        out.layout = output.text("layout");
        out.metadata = choice<MetadataForm>(output, *schema::find_key("output", "metadata"));
        out.recipe = output.flag("recipe");
        out.target = output.text("target");
        out.target_where = output.where("target");
        if (out.layout != schema::find_key("output", "layout")->choices.front() &&
            out.metadata != MetadataForm::both)
            fail(Exit::usage, output.where("metadata"), "'metadata' has no meaning with layout = \"{}\"",
                 out.layout);

        out.path_from_file = is_from_file(output, "path");
        out.replace_from_file = out.replace && is_from_file(output, "replace");
        const fs::path beside = out.path_from_file ? folder_ : out.path.parent_path();
        result_.report = {.json = report.path("json", beside),
                          .trace = report.path("trace", beside),
                          .json_from_file = is_from_file(report, "json"),
                          .trace_from_file = is_from_file(report, "trace"),
                          .json_where = report.where("json"),
                          .trace_where = report.where("trace")};
        for (const auto& [taken, what] : {std::pair(&result_.input.path, "input"), {&out.path, "output"}})
            if (!result_.report.json.empty() && same_place(result_.report.json, *taken))
                fail(Exit::usage, report.where("json"), "the report would overwrite the {}", what);
    }

    void read_model() {
        const SectionValues& model = sections_["model"];
        result_.model.profiles = model.texts("profile");
        result_.model.where = model.where("profile");
        result_.model.options = sections_.profiles.all();
        const std::vector<std::string>& ids = result_.model.profiles;
        for (size_t i = 0; i < ids.size(); ++i) {
            const auto where = [&] {
                const Node& node = model.given("profile")->value;
                return (node.items.empty() ? node : node.items[i]).place.text();
            };
            if (ids.size() > 1 && (ids[i] == "none" || ids[i] == "auto"))
                fail(Exit::usage, where(), "[model] profile: \"{}\" cannot stand beside others", ids[i]);
            if (std::find(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(i), ids[i]) !=
                ids.begin() + static_cast<ptrdiff_t>(i))
                fail(Exit::usage, where(), "[model] profile names '{}' twice", ids[i]);
            sections_.profiles.take(ids[i]);
        }
        // Any of them may turn out to be the model's.
        if (ids.front() == "auto")
            for (const auto& [id, options] : result_.model.options)
                sections_.profiles.take(id);
    }

    void read_quantize() {
        const SectionValues& quantize = sections_["quantize"];
        result_.quantize.treatment = treatments_.primary();
        result_.quantize.embeddings = treatments_.embeddings();
        result_.quantize.on_refusal =
            choice<OnRefusal>(quantize, *schema::find_key("quantize", "on_refusal"));
        result_.quantize.on_nonfinite =
            choice<OnNonfinite>(quantize, *schema::find_key("quantize", "on_nonfinite"));
    }

    void read_rule(const SectionValues& values) {
        Rule rule;
        rule.where = values.where();
        rule.name = fmt::format("rule {}", result_.rules.size() + 1);
        if (values.given("name")) rule.name = values.text("name");
        if (rule.name.empty()) fail(Exit::usage, values.where("name"), "a rule's name is empty");
        read_patterns(values, rule);
        rule.reason = values.text("reason");

        const bool has_format = values.given("format") != nullptr;
        if (has_format && values.text("format") == "keep")
            throw Error(Exit::usage, values.where("format"),
                        fmt::format("{}: \"keep\" is no format", rule.name), "write action = \"keep\"");
        if (values.given("action"))
            rule.action = choice<RuleAction>(values, *schema::find_key("rule", "action"));
        else if (!has_format)
            throw Error(
                Exit::usage, rule.where,
                fmt::format("{} does not say what to do{}", rule.name,
                            meant_by(values.options(), {"action", "format"})),
                "give it a format, or an action: \"quantize\" (as in [quantize]), \"keep\" or \"remove\"");
        if (rule.action == RuleAction::quantize) {
            rule.treatment = treatments_.of(values);
            if (rule.treatment.format.id == "keep")
                throw Error(Exit::usage, rule.where,
                            fmt::format("{} needs a format: the one of [quantize] is \"keep\"", rule.name));
        } else {
            refuse_settings(values, fmt::format("{} has action = \"{}\"", rule.name, values.text("action")));
        }
        result_.rules.push_back(std::move(rule));
    }

    static void read_patterns(const SectionValues& values, Rule& rule) {
        const Entry *match = values.given("match"), *regex = values.given("regex");
        if (!match && !regex)
            throw Error(Exit::usage, rule.where,
                        fmt::format("{} has neither 'match' nor 'regex'{}", rule.name,
                                    meant_by(values.options(), {"match", "regex"})),
                        "match = \"*\" matches every tensor");
        if (match) rule.match = values.texts("match");
        if (regex) rule.regex = values.texts("regex");
        rule.regex_where = values.where("regex");
        for (size_t i = 0; i < rule.match.size(); ++i)
            if (const std::optional<std::string> problem = glob_problem(rule.match[i])) {
                const Node& node = match->value;
                fail(Exit::usage, (node.items.empty() ? node : node.items[i]).place.text(), "'{}': {}",
                     text::printable(rule.match[i]), *problem);
            }
    }

    void check_rule_names() const {
        std::map<std::string_view, size_t> first;
        for (size_t i = 0; i < result_.rules.size(); ++i) {
            const auto [found, is_new] = first.emplace(result_.rules[i].name, i);
            if (is_new) continue;
            // Of two, one may only have the name that its number gives it.
            const bool this_one = sections_.rules()[i].given("name") != nullptr;
            const size_t blamed = this_one ? i : found->second, other = this_one ? found->second : i;
            fail(Exit::usage, sections_.rules()[blamed].where("name"), "the rule at {} is called '{}' too",
                 result_.rules[other].where, text::printable(result_.rules[i].name));
        }
    }

    void read_fallback() {
        const SectionValues& fallback = sections_["fallback"];
        if (!sections_.given("fallback")) return;
        const Entry* format = fallback.given("format");
        if (!format)
            throw Error(Exit::usage, fallback.where(),
                        fmt::format("[fallback] needs a format{}", meant_by(fallback.options(), {"format"})),
                        "leave the section out to keep what the profile protects");
        if (format->value.text != "keep")
            result_.fallback = treatments_.of(fallback);
        else if (!format->value.from_command_line)
            refuse_settings(fallback, "the fallback has format = \"keep\"");
    }

    Node document_;
    fs::path folder_;
    Sections sections_;
    Treatments treatments_;
    Pipeline result_;
};

bool looks_like_checkpoint(const fs::path& path) {
    return path.extension() == ".safetensors" || !foreign_format(path).empty();
}

std::string whole_file(const fs::path& path) {
    const std::string name = os::utf8(path);
    try {
        const os::File file = os::File::open_to_read(path);
        if (looks_like_checkpoint(path))
            throw Error(Exit::usage, name, "is a checkpoint by its name, where a pipeline is expected",
                        "a pipeline is a TOML file; a checkpoint is given with -i");
        if (file.size() > largest_file)
            throw Error(Exit::usage, name,
                        fmt::format("is {}; a pipeline has at most {}", text::bytes(file.size()),
                                    text::bytes(largest_file)),
                        "a pipeline is a TOML file; a checkpoint is given with -i");
        std::string content(file.size(), '\0');
        file.read(0, std::as_writable_bytes(std::span(content)));
        return content;
    } catch (const Error& error) {
        // A pipeline that cannot be read is a mistake in the command line, not a bad checkpoint.
        if (error.code() != Exit::input) throw;
        throw Error(Exit::usage, error.where(), error.problem(), error.advice());
    }
}

}  // namespace

Pipeline parse_pipeline(const std::string& toml, const std::string& name, const fs::path& folder,
                        const std::vector<Override>& overrides) {
    Node document = parse_document(toml, name);
    std::vector<std::string> warnings;
    apply_overrides(document, overrides, warnings);
    return Reader(std::move(document), name, folder, std::move(warnings)).read();
}

Pipeline read_pipeline(const fs::path& path, const std::vector<Override>& overrides) {
    const fs::path folder = path.parent_path();
    return parse_pipeline(whole_file(path), os::utf8(path), folder == "." ? fs::path() : folder, overrides);
}

}  // namespace halftone
