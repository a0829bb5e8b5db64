#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"
#include "core/checkpoint/writer.hpp"
#include "core/pipeline/pipeline.hpp"
#include "core/plan/learning.hpp"
#include "core/plan/stored_matrix.hpp"
#include "plugins/registry.hpp"

namespace halftone {

enum class Action { quantize, keep, cast, remove };

// Where an output tensor's bytes come from.
enum class Origin {
    weight,     // encoded bands
    companion,  // FormatPlan::companion(stored_index)
    measured,   // an input scale, from recorded activations
    text,       // `bytes` of PlannedOutput: a marker's JSON, a constant
    copy,       // the source tensor's bytes
    narrowed,   // the source tensor's values in another float type
};

// What an input scale is measured on.
struct MeasuredInputs {
    std::shared_ptr<const Checkpoint> file;
    const Tensor* inputs = nullptr;  // sampled activations, one a row
    float activation_max = 0;        // as in ht_facts
    float otherwise = 1;             // without activations
};

// One tensor of the output and where it lies.
struct PlannedOutput {
    std::string name;
    ht_dtype dtype = 0;
    Shape shape;
    uint64_t bytes = 0;
    uint32_t file = 0;
    uint64_t offset = 0;  // in that file, from its start
    Origin origin = Origin::copy;
    uint32_t stored_index = 0;       // for Origin::companion
    std::vector<std::byte> content;  // for Origin::text
    MeasuredInputs measured;         // for Origin::measured
};

// What happens to one tensor of the input.
struct PlannedTensor {
    uint32_t source = 0;  // index into Checkpoint::tensors()
    Action action = Action::keep;
    std::string reason;        // why it is not simply quantized, as the options say; "" otherwise
    std::string reason_class;  // the reason without the tensor's particulars, for counting
    std::string format;        // id and the options that differ from the default: "acme.int4 block=32"
    std::shared_ptr<const FormatPlan> plan;           // for Action::quantize
    std::shared_ptr<const StoredMatrix> stored;       // if the source is quantized and is to be read back
    std::shared_ptr<const PlannedLearning> learning;  // null: rounded to nearest
    std::vector<PlannedOutput> outputs;               // the weight first
};

struct PlanTotals {
    uint64_t quantized = 0, kept = 0, cast = 0, removed = 0;
    uint64_t bytes_before = 0, bytes_after = 0;  // of tensors
    uint64_t quantized_before = 0, quantized_after = 0;
    uint64_t elements_quantized = 0;
    uint64_t bf16_would_save = 0;  // by [output] kept = "bf16", over what is kept as it is
    using Counted = std::vector<std::pair<std::string, uint64_t>>;
    Counted kept_by_reason;  // most frequent first
    Counted remarks;         // of formats about quantized matrices, likewise

    // What layers that were quantized already had beside their numbers, and what quantized ones have now.
    uint64_t scales_carried_over = 0, scales_measured = 0, scales_of_one = 0;  // input scales written
    Counted scales_left_out;                                                   // by reason
    uint64_t full_precision_carried_over = 0;
    Counted full_precision_left_out;
    Counted not_learned;  // though an optimizer was asked for
};

// Everything about the output, known before a weight is read.
struct Plan {
    std::shared_ptr<const Checkpoint> checkpoint;
    std::vector<std::shared_ptr<const Checkpoint>>
        read_besides;  // statistics, factors, a model for its shapes
    Pipeline pipeline;
    std::vector<PlannedTensor> tensors;  // in the order of names
    std::vector<FileLayout> files;
    std::string profile;  // "ID (what gave the family away)", or "none"
    std::vector<std::string> warnings;
    PlanTotals totals;
    std::string recipe;         // as written into the header; "" without
    uint64_t output_bytes = 0;  // of all files, headers included
};

// What was found out about the weights before the plan; see core/run/execute.hpp.
struct PlanKnowledge {
    std::set<std::string, std::less<>> nonfinite;  // tensors that hold NaN or infinities
    // Tensors that their format refuses once it has the weights, with its reason.
    std::map<std::string, std::string, std::less<>> refused;
};

Plan make_plan(Pipeline, Registry&, const PlanKnowledge& = {});

}  // namespace halftone
