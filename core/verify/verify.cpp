#include "core/verify/verify.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"
#include "core/base/os/foreign_call.hpp"
#include "core/base/text.hpp"
#include "core/compare/compare.hpp"
#include "core/verify/inherent_error.hpp"
#include "core/verify/kept_tensor.hpp"
#include "core/verify/layers.hpp"
#include "core/verify/left_out.hpp"
#include "core/verify/stored_values.hpp"

namespace halftone {
namespace {

// A quantized tensor with a larger relative squared error has little to do with its input, unless so much is
// lost however it is rounded. Learning may leave a bit more than rounding to nearest does.
constexpr double unrelated = 0.5, as_nearest = 1.25;

// Numbers of 8 bits or fewer without a scale: a format's own rounding made them, so they are judged as what
// is quantized.
bool is_narrowed(const ComparedPair& pair) {
    return !pair.other.stored && pair.other.is_number() && dtype::bits(pair.other.tensor->dtype) <= 8 &&
           (pair.reference.stored || pair.reference.tensor->dtype != pair.other.tensor->dtype);
}

const CompareSettings errors_alone{.projection = false};

}  // namespace

bool same_error(double measured, double recorded) {
    return std::fabs(measured - recorded) <= 1e-9 * std::max(measured, recorded);
}

Verifier::Verifier(std::shared_ptr<const Checkpoint> file, VerifySettings settings, Registry& registry)
    : file_(std::move(file)), settings_(std::move(settings)) {
    result_.tensors = file_->tensors().size();
    layers_ = check_layers(file_, settings_.against, registry, findings_);
    if (settings_.against) pair_with_input(registry);
}

void Verifier::pair_with_input(Registry& registry) {
    Pairing pairing;
    try {
        // Those of the file are findings already; a rule decided about those of the input.
        pairing = pair_up(settings_.against, file_, registry, [](const Tensor&) { return true; });
    } catch (const Error& error) {
        if (error.code() != Exit::input) throw;
        findings_.add("", "nothing was compared with the input, since not every layer can be read: {}",
                      error.what());
        return;
    }
    result_.compared = true;
    check_names(pairing, registry);
    kept_ = std::move(pairing.not_numbers);
    for (ComparedPair& pair : pairing.pairs) {
        const bool narrowed = is_narrowed(pair);
        if (narrowed) result_.layers.push_back({pair.other.tensor->name, pair.other.shown(), std::nullopt});
        (pair.other.stored || narrowed ? quantized_.pairs : kept_).push_back(std::move(pair));
    }
}

void Verifier::check_names(const Pairing& pairing, Registry& registry) {
    if (!pairing.only_in_reference.empty()) {
        std::string problem;
        if (!settings_.removed)
            settings_.removed = left_out_by_recipe(*file_, *settings_.against, registry, problem);
        for (const std::string& name : pairing.only_in_reference) {
            if (settings_.removed->contains(name))
                ++result_.left_out;
            else
                findings_.add(name, "is in the input and not in the output{}",
                              problem.empty() ? "" : " (" + problem + ")");
        }
    }
    for (const std::string& name : pairing.only_in_other)
        findings_.add(name, "is not in the input");
    for (const std::string& one : pairing.incomparable)
        findings_.add("", "{}", one);
}

void Verifier::set_totals(Progress& progress) const {
    progress.tensors_total = layers_.size() + kept_.size() + quantized_.pairs.size();
    progress.bytes_total = 0;
    for (const auto& layer : layers_)
        progress.bytes_total += layer->weight->bytes;
    for (const ComparedPair& pair : kept_)
        progress.bytes_total += pair.reference.tensor->bytes;
    Progress comparison;
    halftone::set_totals(comparison, quantized_, errors_alone);
    progress.bytes_total += comparison.bytes_total;
    progress.work_total = progress.bytes_total;
}

Verification Verifier::run(Workers& workers, Progress& progress) {
    const auto need = [&](uint64_t i) {
        const JobMemory memory = memory_to_check_values(*layers_[i]);
        workers.require_room(layers_[i]->weight->name, memory);
        return memory;
    };
    workers.each_job(layers_.size(), need, [&](uint64_t i, Workers::Share& share) {
        const os::Subject about(layers_[i]->weight->name);
        try {
            check_stored_values(*file_, layers_[i], workers, share, progress, findings_);
        } catch (const Error& error) {
            if (error.code() != Exit::input) throw;
            findings_.add_text(error.where(), error.problem());
        }
        ++progress.tensors_done;
    });
    for (const auto& layer : layers_)
        result_.layers.push_back({layer->weight->name, layer->shown, std::nullopt});
    std::ranges::sort(result_.layers, {}, &VerifiedLayer::name);
    if (result_.compared) {
        compare_kept(workers, progress);
        compare_quantized(workers, progress);
        compare_with_recorded();
    }
    result_.findings = findings_.in_order();
    return std::move(result_);
}

void Verifier::compare_kept(Workers& workers, Progress& progress) {
    std::vector<std::string> wrong(kept_.size());
    const auto need = [&](uint64_t i) {
        const JobMemory memory = memory_to_check_kept(kept_[i]);
        workers.require_room(kept_[i].other.tensor->name, memory);
        return memory;
    };
    workers.each_job(kept_.size(), need, [&](uint64_t i, Workers::Share& share) {
        const os::Subject about(kept_[i].other.tensor->name);
        wrong[i] = check_kept(*settings_.against, *file_, kept_[i], workers, share, progress);
        ++progress.tensors_done;
    });
    for (size_t i = 0; i < kept_.size(); ++i) {
        const ComparedPair& pair = kept_[i];
        const bool cast = pair.reference.stored || pair.reference.tensor->dtype != pair.other.tensor->dtype;
        if (!wrong[i].empty())
            findings_.add_text(pair.other.tensor->name, wrong[i]);
        else
            ++(cast ? result_.cast : result_.copied);
    }
}

void Verifier::compare_quantized(Workers& workers, Progress& progress) {
    Comparison comparison;
    try {
        comparison = compare(*settings_.against, *file_, quantized_, errors_alone, workers, progress);
    } catch (const Error& error) {  // told already where the layer was decoded
        if (error.code() != Exit::input) throw;
        findings_.add("", "errors were not measured, since not every layer can be read");
        return;
    }
    for (const ComparedPair& pair : quantized_.pairs)  // what is identical is not told
        if (VerifiedLayer* const layer = find_layer(pair.other.tensor->name))
            layer->relative_squared_error = 0;
    std::vector<Suspect> suspects;
    for (const TensorComparison& tensor : comparison.tensors) {
        const double error = tensor.measures.relative_squared_error;
        const auto pair = std::ranges::lower_bound(quantized_.pairs, tensor.name, {}, &ComparedPair::name);
        if (VerifiedLayer* const layer = find_layer(pair->other.tensor->name))
            layer->relative_squared_error = error;
        if (!(error <= unrelated)) suspects.push_back({&*pair, error});
    }
    judge(suspects, workers);
}

void Verifier::judge(const std::vector<Suspect>& suspects, Workers& workers) {
    std::vector<double> inherent(suspects.size());
    const auto need = [&](uint64_t i) {
        const JobMemory memory = memory_for_inherent_error(*suspects[i].pair);
        workers.require_room(suspects[i].pair->name, memory);
        return memory;
    };
    workers.each_job(suspects.size(), need, [&](uint64_t i, Workers::Share&) {
        inherent[i] = inherent_error(*settings_.against, *suspects[i].pair);
    });
    for (size_t i = 0; i < suspects.size(); ++i) {
        const auto& [pair, error] = suspects[i];
        const std::string& name = pair->other.tensor->name;
        if (error <= as_nearest * inherent[i])
            result_.remarks.push_back(
                {name, fmt::format("{:.0f} % of it is lost: {} cannot hold such numbers better",
                                   std::min(100 * error, 100.0), pair->other.shown())});
        else
            findings_.add(name, "is not what the input holds: its relative squared error is {:.3g}", error);
    }
}

VerifiedLayer* Verifier::find_layer(const std::string& name) {
    const auto found = std::ranges::lower_bound(result_.layers, name, {}, &VerifiedLayer::name);
    return found != result_.layers.end() && found->name == name ? &*found : nullptr;
}

void Verifier::compare_with_recorded() {
    if (!settings_.recorded) return;
    for (const auto& [name, recorded] : *settings_.recorded) {
        const VerifiedLayer* const layer = find_layer(name);
        if (!layer) {
            findings_.add(name, "was quantized according to the report, and is not");
        } else if (layer->relative_squared_error) {
            ++result_.recorded;
            if (!same_error(*layer->relative_squared_error, recorded))
                findings_.add(name, "its relative squared error is {:.10g}, not {:.10g} as when it was made",
                              *layer->relative_squared_error, recorded);
        }
    }
    for (const VerifiedLayer& layer : result_.layers)
        if (!settings_.recorded->contains(layer.name))
            findings_.add(layer.name, "is quantized, and the report knows nothing of it");
}

}  // namespace halftone
