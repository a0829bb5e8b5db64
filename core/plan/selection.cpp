#include "core/plan/selection.hpp"

#include <algorithm>
#include <array>
#include <boost/regex.hpp>
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/pipeline/glob.hpp"

namespace halftone {

struct RuleSet::State {
    struct Compiled {
        std::vector<std::string> globs;
        std::vector<boost::regex> expressions;
        bool used = false;
    };
    std::vector<Compiled> rules;
};

RuleSet::RuleSet(const std::vector<Rule>& rules) : state_(std::make_unique<State>()) {
    for (const Rule& rule : rules) {
        State::Compiled& compiled = state_->rules.emplace_back();
        compiled.globs = rule.match;
        for (const std::string& expression : rule.regex) {
            try {
                compiled.expressions.emplace_back(expression, boost::regex::perl);
            } catch (const boost::regex_error& problem) {
                throw Error(Exit::usage, rule.regex_where,
                            fmt::format("{}: '{}' is not a regular expression: {}", rule.name,
                                        text::printable(expression), problem.what()),
                            expression.starts_with('*') || expression.starts_with('?')
                                ? "a glob is given by 'match'"
                                : "");
            }
        }
    }
}

RuleSet::~RuleSet() = default;
RuleSet::RuleSet(RuleSet&&) noexcept = default;

int RuleSet::first_match(std::string_view name) {
    for (size_t i = 0; i < state_->rules.size(); ++i) {
        State::Compiled& rule = state_->rules[i];
        const auto by_glob = [&](const std::string& glob) { return glob_matches(glob, name); };
        const auto by_expression = [&](const boost::regex& expression) {
            try {
                return boost::regex_search(name.begin(), name.end(), expression);
            } catch (const std::runtime_error& problem) {  // too many states: Boost gives up rather than hang
                fail(Exit::usage, "", "a regular expression takes too long on '{}': {}",
                     text::printable(name), problem.what());
            }
        };
        if (std::ranges::any_of(rule.globs, by_glob) ||
            std::ranges::any_of(rule.expressions, by_expression)) {
            rule.used = true;
            return static_cast<int>(i);
        }
    }
    return -1;
}

std::vector<size_t> RuleSet::unused() const {
    std::vector<size_t> result;
    for (size_t i = 0; i < state_->rules.size(); ++i)
        if (!state_->rules[i].used) result.push_back(i);
    return result;
}

bool NamePatterns::matches(std::string_view name) {
    bool found = false;
    for (size_t i = 0; i < globs_.size(); ++i)
        if (glob_matches(globs_[i], name)) used_[i] = found = true;
    return found;
}

std::vector<std::string> NamePatterns::unused() const {
    std::vector<std::string> result;
    for (size_t i = 0; i < globs_.size(); ++i)
        if (!used_[i]) result.push_back(globs_[i]);
    return result;
}

std::string hint_for_unmatched(const Rule& rule, const Checkpoint& checkpoint) {
    const auto matches = [&](const auto& fits) {
        return static_cast<uint64_t>(std::ranges::count_if(checkpoint.tensors(), fits, &Tensor::name));
    };
    for (const std::string& glob : rule.match) {
        const std::string wider =
            (glob.starts_with('*') ? "" : "*") + glob + (glob.ends_with('*') ? "" : "*");
        const uint64_t n = matches([&](const std::string& name) { return glob_matches(wider, name); });
        if (n > 0)
            return fmt::format("; a glob covers the whole name: \"{}\" would match {}",
                               text::printable(wider, 60), text::plural(n, "tensor"));
        if (glob.find_first_of("\\^$|+()") == std::string::npos && glob.find(".*") == std::string::npos)
            continue;
        try {
            const boost::regex expression(glob, boost::regex::perl);
            const uint64_t found =
                matches([&](const std::string& name) { return boost::regex_search(name, expression); });
            if (found > 0)
                return fmt::format("; as a regular expression it would match {}: write regex = '{}'",
                                   text::plural(found, "tensor"), text::printable(glob, 60));
        } catch (const std::runtime_error&) {  // no regular expression either, or one that takes too long
        }
    }
    return {};
}

std::string not_a_matrix(const Tensor& tensor) {
    if (!tensor.name.ends_with(".weight")) return tensor.name.ends_with(".bias") ? "bias" : "not a weight";
    if (tensor.shape.size() != 2 && !is_expert_stack(tensor))
        return fmt::format("not a matrix ({}-D)", tensor.shape.size());
    if (tensor.bytes == 0) return "empty";
    if (!dtype::widens(tensor.dtype)) return fmt::format("{} of no known layout", dtype::name(tensor.dtype));
    return {};
}

bool is_expert_stack(const Tensor& tensor) {
    return tensor.shape.size() == 3 && tensor.shape[0] > 1 && tensor.name.ends_with(".weight") &&
           tensor.name.find("expert") != std::string::npos;
}

bool is_embedding(std::string_view name) {
    // Whole path components: "x_embedder" and "patch_embedding" are ordinary projections.
    static constexpr std::array<std::string_view, 17> tables = {"embed_tokens",
                                                                "shared",
                                                                "wte",
                                                                "wpe",
                                                                "tok_embeddings",
                                                                "word_embeddings",
                                                                "position_embeddings",
                                                                "token_embedding",
                                                                "token_embeddings",
                                                                "position_embedding",
                                                                "embed_positions",
                                                                "token_type_embeddings",
                                                                "embeddings",
                                                                "embedding",
                                                                "tok_emb",
                                                                "pos_emb",
                                                                "relative_attention_bias"};
    const std::string_view layer = layer_name(name);
    const std::string_view last = layer.substr(layer.rfind('.') + 1);  // npos + 1 is 0: the whole name
    return std::ranges::find(tables, last) != tables.end();
}

std::string_view layer_name(std::string_view weight) {
    constexpr std::string_view suffix = ".weight";
    if (weight.ends_with(suffix)) weight.remove_suffix(suffix.size());
    return weight;
}

}  // namespace halftone
