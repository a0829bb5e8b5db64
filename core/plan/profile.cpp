#include "core/plan/profile.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace halftone {
namespace {

HeaderFacts facts_without_prefix(const Checkpoint& checkpoint, const std::string& prefix) {
    HeaderFacts facts;
    for (const Tensor& tensor : checkpoint.tensors()) {
        if (!tensor.name.starts_with(prefix)) continue;
        facts.tensors.push_back({tensor.name.substr(prefix.size()), tensor.dtype, tensor.shape});
    }
    facts.metadata = checkpoint.metadata();
    return facts;
}

}  // namespace

std::string common_prefix(const Checkpoint& checkpoint) {
    // Loaders look for these, in this order, and take the commonest if it is common enough.
    static constexpr std::array<std::string_view, 4> known = {"model.diffusion_model.", "model.model.",
                                                              "net.", "diffusion_model."};
    constexpr size_t enough = 5;
    size_t most = enough;
    std::string result;
    for (std::string_view prefix : known) {
        const auto here = [&](const Tensor& tensor) { return tensor.name.starts_with(prefix); };
        const auto count = static_cast<size_t>(std::ranges::count_if(checkpoint.tensors(), here));
        if (count > most) {
            most = count;
            result = prefix;
        }
    }
    return result;
}

Profiles Profiles::choose(const Pipeline::ModelChoice& choice, const Checkpoint& checkpoint,
                          Registry& registry, std::vector<std::string>& warnings) {
    Profiles result;
    result.summary_ = "none";
    if (choice.profiles == std::vector<std::string>{"none"}) return result;

    const HeaderFacts facts = facts_without_prefix(checkpoint, common_prefix(checkpoint));
    const bool automatic = choice.profiles == std::vector<std::string>{"auto"};

    struct Candidate {
        std::shared_ptr<const Model> model;
        Score score;
    };
    std::vector<Candidate> candidates;
    for (const std::string& id : automatic ? registry.ids(HT_KIND_MODEL) : choice.profiles) {
        try {
            std::shared_ptr<const Model> model = registry.model(id, choice.where);
            Score score = model->score(facts);
            candidates.push_back({std::move(model), std::move(score)});
        } catch (const Error& error) {
            if (!automatic || error.code() != Exit::plugin) throw;
            // It might be the one that knows this model: without it other layers would be quantized.
            throw Error(
                Exit::plugin, error.where(), error.problem(),
                "every profile is asked whether it knows the model; repair or remove this one, or name "
                "yours with [model] profile");
        }
    }

    std::vector<std::string> parts;
    const auto take = [&](const Candidate& candidate) {
        const PluginLibrary& library = candidate.model->library();
        const auto given = choice.options.find(candidate.model->id());
        result.chosen_.push_back(
            {candidate.model,
             OptionValues::resolve(library.options(),
                                   given == choice.options.end() ? GivenOptions() : given->second,
                                   library.name())});
        parts.push_back(candidate.score.points > 0
                            ? fmt::format("{} ({})", candidate.model->id(), candidate.score.evidence)
                            : candidate.model->id());
    };
    if (!automatic) {
        for (const Candidate& candidate : candidates) {
            take(candidate);
            if (candidate.score.points <= 0)
                warnings.push_back(
                    fmt::format("the checkpoint does not look like '{}', whose profile was asked for",
                                candidate.model->id()));
        }
    } else {
        const auto points = [](const Candidate& candidate) { return candidate.score.points; };
        const auto best = std::ranges::max_element(candidates, {}, points);
        if (best == candidates.end() || best->score.points <= 0) {
            warnings.emplace_back(
                "no profile knows this model: every matrix is quantized except embeddings; sensitive layers "
                "are kept "
                "only by rules (set [model] profile to choose one, or \"none\" to silence this)");
            return result;
        }
        std::vector<std::string> equal;
        for (const Candidate& candidate : candidates)
            if (candidate.score.points == best->score.points) equal.push_back(candidate.model->id());
        if (equal.size() > 1)
            throw Error(Exit::usage, choice.where,
                        fmt::format("the checkpoint looks equally like {}", text::join(equal, " and ")),
                        "choose one with [model] profile");
        take(*best);
    }
    result.summary_ = text::join(parts, ", ");
    return result;
}

Verdict Profiles::decide(const Tensor& tensor) const {
    const TensorFacts facts{tensor.name, tensor.dtype, tensor.shape};
    Verdict result;
    for (const Chosen& chosen : chosen_) {
        const Verdict verdict = chosen.model->decide(chosen.options, facts);
        result.flags |= verdict.flags;
        const bool stronger = (verdict.action == HT_ACTION_REMOVE && result.action != HT_ACTION_REMOVE) ||
                              (verdict.action == HT_ACTION_KEEP && result.action == HT_ACTION_QUANTIZE);
        if (stronger) {
            result.action = verdict.action;
            result.reason = verdict.reason;
        }
    }
    return result;
}

std::vector<std::string> Profiles::ids() const {
    std::vector<std::string> result;
    for (const Chosen& chosen : chosen_)
        result.push_back(chosen.model->id());
    return result;
}

}  // namespace halftone
