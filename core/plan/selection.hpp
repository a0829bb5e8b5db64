#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"
#include "core/pipeline/pipeline.hpp"

namespace halftone {

// The [[rule]]s, with their patterns compiled. Exit::usage where a regular expression is not one.
class RuleSet {
  public:
    explicit RuleSet(const std::vector<Rule>&);
    ~RuleSet();
    RuleSet(RuleSet&&) noexcept;

    // Index of the first rule that matches the name, or -1. Counts it for unused().
    int first_match(std::string_view name);
    std::vector<size_t> unused() const;  // rules that no name has matched so far

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// Patterns of names, from the command line.
class NamePatterns {
  public:
    explicit NamePatterns(std::vector<std::string> globs) : globs_(std::move(globs)), used_(globs_.size()) {}

    bool matches(std::string_view name);  // one of them; each counts for unused()
    std::vector<std::string> unused() const;

  private:
    std::vector<std::string> globs_;
    std::vector<bool> used_;
};

// What the writer of a rule that matches no tensor may have meant: "; a glob covers the whole name:
// \"*attn*\" would match 12 tensors"; "" if there is nothing to guess.
std::string hint_for_unmatched(const Rule&, const Checkpoint&);

// Why a tensor cannot be quantized whatever the pipeline says; "" if it can. The text counts in summaries.
std::string not_a_matrix(const Tensor&);

// The matrices of several experts in one tensor, [experts, out, in]. The name tells: a convolution has as
// many dimensions.
bool is_expert_stack(const Tensor&);

// A table that is looked up rather than multiplied, by the names that model families give them.
bool is_embedding(std::string_view name);

// "blocks.0.attn" for "blocks.0.attn.weight".
std::string_view layer_name(std::string_view weight);

}  // namespace halftone
