#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/checkpoint/quantized.hpp"
#include "core/plan/families.hpp"
#include "core/plan/judgment.hpp"
#include "core/plan/learning.hpp"
#include "core/plan/metadata.hpp"
#include "core/plan/outputs.hpp"
#include "core/plan/plan.hpp"
#include "core/plan/profile.hpp"
#include "core/plan/selection.hpp"

namespace halftone {

// A treatment with its plugin loaded and its options checked.
struct ResolvedTreatment {
    std::shared_ptr<const Format> format;  // null: keep
    OptionValues options;
    std::string shown;                                     // "acme.int4 block=32"
    std::optional<bool> full_precision_mm = std::nullopt;  // nothing: as in the source
    InputScale input_scale = InputScale::automatic;
    std::shared_ptr<const Optimizer> optimizer;  // null: round to nearest
    OptionValues optimizer_options;
    std::string shown_optimizer;  // "acme.round steps=20"
};

// Decides about every tensor of one checkpoint; make_plan() drives it. What deals with layers that are
// quantized already is in planner_quantized.cpp.
class Planner {
  public:
    Planner(Pipeline, Registry&, const PlanKnowledge&);
    Plan plan();

  private:
    ResolvedTreatment resolve(Treatment&);
    void refuse_misplaced_options(const Treatment&, const PluginLibrary& format);
    void resolve_optimizer(PluginChoice&, ResolvedTreatment&);
    void note_use(const std::string& kind, const std::string& id, const PluginLibrary&);
    PlannedTensor decide(uint32_t index);
    PlannedTensor quantize(uint32_t index, const ResolvedTreatment&, uint32_t verdict_flags);
    PlannedTensor quantize(uint32_t index, MatrixSource, const ResolvedTreatment&, uint32_t verdict_flags,
                           const StoredMatrix* stored);
    PlannedTensor refused(uint32_t index, const ResolvedTreatment&, const std::string& reason);
    PlannedTensor requantize(uint32_t index, const ResolvedTreatment&, uint32_t verdict_flags);
    PlannedTensor keep(uint32_t index, std::string reason, std::string reason_class = {});
    PlannedTensor remove(uint32_t index, std::string reason);
    PlannedTensor keep_quantized(uint32_t index, const std::string& layer);
    void settle_unclaimed(const StoredMatrix&);
    const ResolvedTreatment& wanted_treatment(const Tensor&, int rule, const Verdict&,
                                              std::string& reason) const;
    void check_kept_layouts() const;
    void drop_legacy_leftovers();
    void drop_what_is_replaced();
    std::vector<PlannedOutput> new_file_claims(std::vector<PlannedOutput> claims, const std::string& layer);
    void learn(PlannedTensor&, const std::string& layer, const ResolvedTreatment&);
    void count();
    std::shared_ptr<const FormatPlan> prepare(MatrixSource, const ResolvedTreatment&,
                                              const StoredMatrix* stored);
    bool has_place_for_full_precision(const FormatPlan&, const ResolvedTreatment&) const;
    std::optional<MeasuredInputs> input_scale(const std::string& layer, const ResolvedTreatment&,
                                              const FormatPlan&, uint32_t verdict_flags,
                                              const StoredMatrix* stored);
    bool whole_file_asks_for_full_precision() const;
    const Loader* loader_judged_for() const;
    void judge_for_loaders(const std::string& layer, const ResolvedTreatment&, const FormatPlan&);
    void add_loader_warnings();
    void add_collected_warnings();
    void lay_out_files();
    const Tensor& tensor(uint32_t index) const { return plan_.checkpoint->tensors()[index]; }

    Registry& registry_;
    const PlanKnowledge& knowledge_;
    Plan plan_;
    Pipeline effective_;  // with options and profiles resolved, for the recipe
    Learning learning_;
    Profiles profiles_;
    RuleSet rules_;
    ht_dialect dialect_ = HT_DIALECT_COMFY;
    std::string prefix_;
    ResolvedTreatment primary_, embeddings_;
    std::vector<ResolvedTreatment> by_rule_;
    std::optional<ResolvedTreatment> fallback_;
    std::unique_ptr<Recognition> recognition_;
    std::map<std::string, QuantizedLayer, std::less<>> quantized_before_;
    std::set<std::string, std::less<>> companions_before_;  // of layers that stay quantized as they are
    std::vector<std::string> file_markers_;                 // as whole_file_markers() found them
    std::set<std::string, std::less<>> replaced_;           // companions and markers that are false now
    std::map<std::string, std::pair<ht_dtype, Shape>> whole_file_;  // markers claimed so far
    LayerChanges changes_;
    std::vector<std::string> plugins_used_;
    Loaders loaders_;
    Families families_;
    FoundFamily family_;              // that the model is of, to the loader that is judged for
    const FileKind* kind_ = nullptr;  // what the input is instead of a model
    struct LoaderWarning {
        std::string before, after;  // the number of matrices
        uint64_t matrices = 0;
    };
    std::vector<LoaderWarning> loader_warnings_;
    struct Uptake {  // of the matrices that a format was offered
        uint64_t taken = 0, refused = 0;
        std::map<std::string, uint64_t> reasons;
    };
    std::map<std::string, Uptake> uptake_;  // by the format with its options
    uint64_t unmeasured_ = 0;               // input scales that are 1 for want of activations
    bool file_in_full_precision_ = false;   // of the source, if the output can say so for the file alone
    std::map<std::string, uint64_t> scales_left_out_, full_precision_left_out_, not_learned_;  // by reason
    uint64_t full_precision_nowhere_ = 0;  // matrices for which the layout cannot say so
    std::vector<std::string> eight_bit_, unknown_layout_, kept_quantized_, requantized_;
};

}  // namespace halftone
