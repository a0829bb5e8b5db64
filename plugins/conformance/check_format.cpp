#include <algorithm>
#include <map>
#include <set>

#include "core/base/error.hpp"
#include "plugins/call.hpp"
#include "plugins/conformance/trial.hpp"

namespace halftone::conformance {

namespace {

class FormatCheck {
  public:
    FormatCheck(const Format& format, const CheckSettings& settings)
        : format_(format), settings_(settings), seed_(settings.seed) {
        for (const auto& some : {stored_checks(), grid_checks(), reading_checks(), activation_checks()})
            checks_.insert(checks_.end(), some.begin(), some.end());
        for (const Check& check : checks_)
            results_.push_back({check.name, check.promise, Outcome::not_applicable, 0, {}});
    }

    Report run() {
        tell(calls_);
        phase("refusals", [&] { return check_refusals(format_); });
        phase("labels", [&] { return check_labels(format_); });
        phase("precision", [&] { return check_full_precision(format_, seed_); });
        phase("wants", [&] { return check_wants(format_, seed_); });
        phase("options", [&] { return check_options(format_, seed_, report_.remarks); });
        for (const Result& result : results_)
            tell(result);
        Random random(seed_, 0);
        const std::vector<OptionChoice> choices = option_choices(random, format_.library().options());
        // Formats with many options have fewer matrices for each.
        const size_t enough = std::max<size_t>(4, 40 / choices.size());
        uint64_t stream = 1;
        for (const OptionChoice& choice : choices)
            for (const ht_dialect dialect : all_dialects)
                try_all(choice, dialect, enough, stream);
        remark_what_was_never_taken();
        if (report_.matrices == 0 && calls_.outcome == Outcome::ok)
            fault(fmt::format("{} tried", report_.refused),
                  "prepare() refuses every matrix, whatever its shape");
        judge_refusals();
        report_.results.insert(report_.results.end(), results_.begin(), results_.end());
        report_.results.push_back(calls_);
        return std::move(report_);
    }

  private:
    void tell(const Result& result) const {
        if (settings_.observer) settings_.observer->know(result);
    }

    // A part of the check that makes plans of its own.
    template <class Work>
    void phase(const char* name, const Work& work) {
        guarded(fmt::format("during '{}'", name), [&] {
            report_.results.push_back(work());
            tell(report_.results.back());
        });
    }

    // Shapes until enough were taken, each with other values and another type.
    void try_all(const OptionChoice& choice, ht_dialect dialect, size_t enough, uint64_t& stream) {
        static constexpr ht_dtype dtypes[] = {HT_DTYPE_BF16, HT_DTYPE_F32, HT_DTYPE_F16, HT_DTYPE_F64};
        const OptionValues options =
            OptionValues::resolve(format_.library().options(), choice.given, format_.library().name());
        std::vector<std::string> values_given = {"default options"};
        if (!choice.given.empty()) values_given.clear();
        for (const auto& [name, value] : options.as_toml())
            if (choice.given.contains(name)) values_given.push_back(name + " = " + value);
        for (const std::string& one : values_given)
            accepted_.try_emplace(one, false);
        size_t trials = 0;
        for (size_t round = 0; trials < enough && trials >= round; ++round) {  // none taken: not again
            Random random(seed_, ++stream);
            for (const Shape shape : shuffled(shapes(random), random)) {
                if (trials == enough) break;
                const MatrixSource source = source_of(shape, dtypes[stream % 4], dialect);
                const Values values = all_values[stream % std::size(all_values)];
                ++stream;
                guarded(circumstances(source, options), [&] {
                    try {
                        Trial trial =
                            make_trial(format_, source, choice.given, values, Random(seed_, stream));
                        trial.labels_of_others = settings_.labels_of_others;
                        for (const std::string& one : values_given)
                            accepted_[one] = true;
                        ++trials;
                        ++report_.matrices;
                        if (settings_.observer) settings_.observer->count(report_.matrices, report_.refused);
                        look_at(trial);
                    } catch (const Refusal&) {
                        ++report_.refused;
                    }
                });
            }
        }
    }
    static std::vector<Shape> shuffled(std::vector<Shape> all, Random& random) {
        for (size_t i = all.size(); i > 1; --i)  // in their order, the large ones would often be left out
            std::swap(all[i - 1], all[random.below(i)]);
        return all;
    }

    void look_at(Trial& trial) {
        for (size_t i = 0; i < checks_.size(); ++i) {
            Result& result = results_[i];
            if (result.outcome == Outcome::failed) continue;
            guarded(trial.circumstances() + ", during '" + result.check + "'", [&] {
                try {
                    if (checks_[i].run(trial) == Outcome::not_applicable) return;
                    result.outcome = Outcome::ok;
                    ++result.cases;
                } catch (const Broken& reason) {
                    result.outcome = Outcome::failed;
                    result.detail = fmt::format("{} [{}]", reason.what(), trial.circumstances());
                }
            });
            tell(result);
            described_refusal_ |= !trial.refusal.empty() && trial.describes();
            if (!trial.refusal.empty() && refusal_.empty())
                refusal_ = fmt::format("{} [{}]", trial.refusal, trial.circumstances());
        }
    }

    // Errors of the runtime are broken promises too: guard bytes, floating-point mode, facts that contradict
    // each other, a failing function.
    template <class Work>
    void guarded(const std::string& where, const Work& work) {
        try {
            ++calls_.cases;
            if (settings_.observer) settings_.observer->at(where);
            work();
        } catch (const Refusal& refusal) {
            fault(where, fmt::format("a function refused where it may not: {}", refusal.what()));
        } catch (const Error& error) {
            if (error.code() != Exit::plugin) throw;
            fault(where, error.problem());
        }
    }
    void fault(const std::string& where, const std::string& what) {
        if (calls_.outcome == Outcome::failed) return;
        calls_.outcome = Outcome::failed;
        calls_.detail = fmt::format("{} [{}]", what, where);
    }

    // Of a whole number, one value is enough: which others are possible is for prepare() to say.
    void remark_what_was_never_taken() {
        if (calls_.outcome != Outcome::ok) return;
        const OptionTable& table = format_.library().options();
        for (const auto& [what, taken] : accepted_) {
            const std::string name = what.substr(0, what.find(" = "));
            const auto same_option = [&](const auto& other) {
                return other.second && other.first.starts_with(name + " = ");
            };
            bool enough = taken;
            for (size_t i = 0; i < table.size() && !enough; ++i)
                enough = table.row(i).name == name &&
                         (table.row(i).type == HT_INT || table.row(i).type == HT_SIZE) &&
                         std::ranges::any_of(accepted_, same_option);
            if (!enough)
                report_.remarks.push_back(
                    fmt::format("no matrix was taken with {}, alone or among others", what));
        }
    }

    // A format may recognize nothing at all; if it knows some of its own layers, it has to know all of them.
    void judge_refusals() {
        const auto result = std::ranges::find(results_, "recognize", &Result::check);
        if (refusal_.empty() || result->outcome == Outcome::failed) return;
        if (result->outcome == Outcome::ok) {
            result->outcome = Outcome::failed;
            result->detail = "recognize() refuses what the format wrote: " + refusal_;
        } else if (described_refusal_) {
            result->outcome = Outcome::failed;
            result->detail =
                "describe() writes a configuration, but recognize() takes nothing that the format writes; a "
                "format whose weight is a plain tensor describes nothing: " +
                refusal_;
        } else {
            report_.remarks.push_back("recognize() takes nothing that the format writes: " + refusal_);
        }
    }

    const Format& format_;
    const CheckSettings& settings_;
    uint64_t seed_;
    std::vector<Check> checks_;
    std::vector<Result> results_;
    Result calls_{"calls",
                  "calls return, write only what they are given, keep the floating-point mode",
                  Outcome::ok,
                  0,
                  {}};
    std::map<std::string, bool> accepted_;
    std::string refusal_;
    bool described_refusal_ = false;
    Report report_;
};

}  // namespace

bool Report::passed() const {
    return std::ranges::none_of(results, [](const Result& one) { return one.outcome == Outcome::failed; });
}

Report check_format(std::shared_ptr<PluginLibrary> library, const CheckSettings& settings) {
    const Format format(std::move(library), settings.watch);
    return FormatCheck(format, settings).run();
}

}  // namespace halftone::conformance
