#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <stdexcept>

#include "core/base/os/file.hpp"
#include "core/base/text.hpp"
#include "core/pipeline/document.hpp"
#include "core/pipeline/pipeline.hpp"
#include "core/pipeline/rounding.hpp"
#include "core/pipeline/schema.hpp"

namespace halftone {
namespace {

std::string bare_or_quoted(std::string_view key) {
    const bool bare = !key.empty() && std::ranges::all_of(key, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-';
    });
    return bare ? std::string(key) : text::toml_quoted(key);
}

std::string toml_list(const std::vector<std::string>& items) {
    std::vector<std::string> quoted;
    quoted.reserve(items.size());
    for (const std::string& item : items)
        quoted.push_back(text::toml_quoted(item));
    return fmt::format("[{}]", text::join(quoted, ", "));
}

std::string text_or_list(const std::vector<std::string>& items) {
    return items.size() == 1 ? text::toml_quoted(items[0]) : toml_list(items);
}

std::string toml_size(uint64_t bytes) {
    uint64_t amount = bytes;
    for (const char* unit : {"", "KiB", "MiB", "GiB"}) {
        const bool largest = std::string_view(unit) == "GiB";
        if (amount == 0 || amount % 1024 != 0 || largest)
            return *unit ? fmt::format("\"{}{}\"", amount, unit) : fmt::format("{}", amount);
        amount /= 1024;
    }
    return {};
}

std::string toml_value(const GivenValue& given) {
    struct Writer {
        std::string operator()(bool value) const { return value ? "true" : "false"; }
        std::string operator()(int64_t value) const { return fmt::format("{}", value); }
        std::string operator()(double value) const { return toml_number(value, false); }
        std::string operator()(const std::string& value) const { return text::toml_quoted(value); }
        std::string operator()(const std::vector<std::string>& value) const { return toml_list(value); }
    };
    return std::visit(Writer{}, given.value);
}

bool is_bare_word(const PluginChoice& choice, std::string_view word) {
    return choice.id == word || choice.id.empty();
}

class Printer {
  public:
    Printer(const Pipeline& pipeline, const PrintSettings& settings)
        : pipeline_(pipeline), settings_(settings) {}

    std::string print() {
        print_files();
        begin("model");
        value("profile", text_or_list(pipeline_.model.profiles));
        print_quantize();
        print_id_tables();
        for (size_t i = 0; i < pipeline_.rules.size(); ++i)
            print_rule(pipeline_.rules[i], i + 1);
        if (pipeline_.fallback) {
            begin("fallback");
            print_treatment(*pipeline_.fallback);
        }
        print_rounding();
        begin("run");
        value("threads", fmt::format("{}", pipeline_.run.threads));
        value("memory", toml_size(pipeline_.run.memory));
        value("device", text::toml_quoted(pipeline_.run.device));
        value("verify", pipeline_.run.verify ? "true" : "false");
        begin("report");
        path("json", pipeline_.report.json);
        path("trace", pipeline_.report.trace);
        return std::move(out_);
    }

  private:
    // A header is written when its section turns out to have something in it.
    void begin(std::string_view section, const std::string& header = {}) {
        section_ = section;
        header_ = header.empty() ? schema::find_section(section)->title() : header;
    }

    void line(std::string_view key, std::string_view value) {
        if (!header_.empty()) out_ += fmt::format("{}{}\n", out_.empty() ? "" : "\n", header_);
        header_.clear();
        out_ += fmt::format("{} = {}\n", bare_or_quoted(key), value);
    }

    // A key of the schema, unless it is the default or has no business in a recipe.
    void value(std::string_view name, const std::string& value) {
        const schema::Key& key = *schema::find_key(section_, name);
        if (value != key.fallback && (key.in_recipe || settings_.paths)) line(name, value);
    }

    void path(std::string_view name, const std::filesystem::path& path) {
        if (!path.empty()) value(name, text::toml_quoted(os::utf8(path)));
    }

    // The word of the schema that stands for an enumeration's value.
    template <class Enumeration>
    void choice(std::string_view name, Enumeration chosen) {
        const schema::Key& key = *schema::find_key(section_, name);
        value(name, fmt::format("\"{}\"", key.choices.at(static_cast<size_t>(chosen))));
    }

    void print_files() {
        begin("input");
        path("path", pipeline_.input.path);
        const std::filesystem::path& statistics = pipeline_.input.statistics;
        path("statistics", settings_.paths ? statistics : statistics.filename());
        const Pipeline::Output& output = pipeline_.output;
        begin("output");
        path("path", output.path);
        value("replace", output.replace ? "true" : "false");
        choice("kept", output.kept);
        value("shard_size", toml_size(output.shard_size));
        value("layout", text::toml_quoted(output.layout));
        choice("metadata", output.metadata);
        value("recipe", output.recipe ? "true" : "false");
        value("target", text::toml_quoted(output.target));
    }

    void print_quantize() {
        const Pipeline::Quantize& quantize = pipeline_.quantize;
        begin("quantize");
        value("format", text::toml_quoted(quantize.treatment.format.id));
        value("optimizer", optimizer_id(quantize.treatment));
        value("embeddings", is_bare_word(quantize.embeddings, "keep")
                                ? R"("keep")"
                                : text::toml_quoted(quantize.embeddings.id));
        choice("on_refusal", quantize.on_refusal);
        choice("on_nonfinite", quantize.on_nonfinite);
        print_full_precision(quantize.treatment);
        choice("input_scale", quantize.treatment.input_scale);
        for (const auto& [name, given] : quantize.treatment.format.options)
            line(name, toml_value(given));
    }

    void print_full_precision(const Treatment& treatment) {
        if (treatment.full_precision_matrix_mult)
            value("full_precision_matrix_mult", *treatment.full_precision_matrix_mult ? "true" : "false");
    }

    // Options stand beside the choice that has them. Only embeddings and optimizers have no room there.
    void print_id_tables() {
        const PluginChoice& embeddings = pipeline_.quantize.embeddings;
        if (embeddings.id == pipeline_.quantize.treatment.format.id)
            require(same_options(embeddings.options, pipeline_.quantize.treatment.format.options),
                    "embeddings have other options than [quantize] for the same format");
        else if (!is_bare_word(embeddings, "keep"))
            print_id_table("format", embeddings);

        std::map<std::string, const PluginChoice*> optimizers;
        const auto collect = [&](const Treatment& treatment) {
            const PluginChoice& optimizer = treatment.optimizer;
            if (is_bare_word(optimizer, "none")) return;
            const PluginChoice* first = optimizers.emplace(optimizer.id, &optimizer).first->second;
            require(same_options(optimizer.options, first->options),
                    "one optimizer has options of two kinds");
        };
        collect(pipeline_.quantize.treatment);
        for (const Rule& rule : pipeline_.rules)
            if (rule.action == RuleAction::quantize) collect(rule.treatment);
        if (pipeline_.fallback) collect(*pipeline_.fallback);
        for (const auto& [id, optimizer] : optimizers)
            print_id_table("optimizer", *optimizer);
        for (const auto& [id, options] : pipeline_.model.options)
            print_id_table("profile", {id, {}, options});
    }

    void print_id_table(std::string_view section, const PluginChoice& choice) {
        begin(section, fmt::format("[{}.{}]", section, bare_or_quoted(choice.id)));
        for (const auto& [name, given] : choice.options)
            line(name, toml_value(given));
    }

    void print_rule(const Rule& rule, size_t number) {
        begin("rule");
        if (rule.name != fmt::format("rule {}", number)) value("name", text::toml_quoted(rule.name));
        if (!rule.match.empty()) value("match", text_or_list(rule.match));
        if (!rule.regex.empty()) value("regex", text_or_list(rule.regex));
        if (rule.action != RuleAction::quantize) choice("action", rule.action);
        value("reason", text::toml_quoted(rule.reason));
        if (rule.action == RuleAction::quantize) print_treatment(rule.treatment);
    }

    // Of a rule or the fallback: what differs from what it inherits.
    void print_treatment(const Treatment& treatment) {
        const Treatment& primary = pipeline_.quantize.treatment;
        value("format", text::toml_quoted(treatment.format.id));
        const std::string optimizer = optimizer_id(treatment);
        if (optimizer != optimizer_id(primary)) value("optimizer", optimizer);
        if (treatment.full_precision_matrix_mult != primary.full_precision_matrix_mult)
            print_full_precision(treatment);
        if (treatment.input_scale != primary.input_scale) choice("input_scale", treatment.input_scale);

        const GivenOptions &own = treatment.format.options, &inherited = inherited_by(treatment.format.id);
        for (const auto& [name, given] : inherited)
            require(own.contains(name), "a rule lacks an option that [quantize] gives to the same format");
        for (const auto& [name, given] : own) {
            const auto below = inherited.find(name);
            if (below == inherited.end() || toml_value(below->second) != toml_value(given))
                line(name, toml_value(given));
        }
    }

    void print_rounding() {
        const Pipeline::Rounding& rounding = pipeline_.rounding;
        begin("rounding");
        value("objective", text::toml_quoted(objective_text(rounding.objective, settings_.paths)));
        value("judge", text::toml_quoted(judge_text(rounding, settings_.paths)));
        value("squared_error_cap", toml_number(rounding.squared_error_cap, false));
        value("seed", fmt::format("{}", rounding.seed));
        value("top_p", toml_number(rounding.top_p, false));
        value("min_rank", fmt::format("{}", rounding.min_rank));
        value("max_rank", fmt::format("{}", rounding.max_rank));
        value("max_elements", fmt::format("{}", rounding.max_elements));
    }

    const GivenOptions& inherited_by(const std::string& id) const {
        static const GivenOptions none;
        const Pipeline::Quantize& quantize = pipeline_.quantize;
        if (id == quantize.treatment.format.id) return quantize.treatment.format.options;
        return id == quantize.embeddings.id ? quantize.embeddings.options : none;
    }

    static std::string optimizer_id(const Treatment& treatment) {
        return is_bare_word(treatment.optimizer, "none") ? R"("none")"
                                                         : text::toml_quoted(treatment.optimizer.id);
    }

    static bool same_options(const GivenOptions& a, const GivenOptions& b) {
        return std::ranges::equal(a, b, [](const auto& left, const auto& right) {
            return left.first == right.first && toml_value(left.second) == toml_value(right.second);
        });
    }

    static void require(bool holds, const char* otherwise) {
        if (!holds) throw std::logic_error(fmt::format("no TOML stands for this pipeline: {}", otherwise));
    }

    const Pipeline& pipeline_;
    const PrintSettings& settings_;
    std::string out_, header_;
    std::string_view section_;
};

}  // namespace

std::string print_pipeline(const Pipeline& pipeline, const PrintSettings& settings) {
    return Printer(pipeline, settings).print();
}

}  // namespace halftone
