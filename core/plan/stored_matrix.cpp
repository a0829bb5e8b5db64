#include "core/plan/stored_matrix.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include <halftone/ext/draft/column_scale.h>

#include "core/base/error.hpp"
#include "core/base/json_text.hpp"
#include "core/base/os/foreign_call.hpp"
#include "core/base/text.hpp"
#include "core/plan/candidates.hpp"
#include "core/plan/model_weights.hpp"
#include "core/plan/selection.hpp"
#include "core/plan/stored_types.hpp"
#include "plugins/call.hpp"

namespace halftone {
namespace {

constexpr uint64_t most_shown_bytes = 64 * 1024;  // what a plugin sees of a tensor, or nothing of it

// Experts share a codebook, and what has no dimensions: of all else loaders take the part of each expert.
bool has_size_of(const Tensor& tensor, const StoredTensor& stored, uint64_t experts) {
    if (stored.role == HT_ROLE_COLUMN_SCALE)
        return dtype::widens(tensor.dtype) && element_count(tensor.shape) == element_count(stored.shape);
    const uint64_t bytes = is_converted(tensor, stored)
                               ? tensor.bytes * dtype::bits(stored.dtype) / dtype::bits(tensor.dtype)
                               : tensor.bytes;
    const bool shared = tensor.shape.empty() || stored.role == HT_ROLE_CODEBOOK;
    return bytes == stored.bytes * experts ||
           (bytes == stored.bytes && shared && stored.role != HT_ROLE_WEIGHT) || may_differ_in_length(stored);
}

// As formats see it: always written by us, so that names come without escapes and once each. Loaders look for
// what an embedding table's marker says at its root alone; of a stack of experts, of which formats see the
// first, it says how many there are.
std::string marker_of(const QuantizedLayer& layer, uint64_t experts) {
    Json marker = parse_json(layer.configuration);
    if (!marker.is_object()) return layer.configuration;
    if (is_embedding(layer.name + ".weight")) marker.erase("params");
    if (experts > 1 || marker.contains("num_experts")) marker["num_experts"] = experts;
    return marker.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

bool may_be_flat_stack(std::string_view layer, const Tensor& weight) {
    return weight.shape.size() == 2 && layer.find("expert") != std::string_view::npos;
}

// Those that know the label can say what is wrong; the others only that it is not theirs.
std::string advice_of(const std::vector<Unrecognized::Answer>& answers) {
    if (answers.empty()) return "there are no format plugins";
    const bool known = std::ranges::any_of(answers, &Unrecognized::Answer::knows_label);
    std::string said = "what they said:";
    for (const Unrecognized::Answer& answer : answers)
        if (answer.knows_label || !known) said += fmt::format("\n  {}: {}", answer.format, answer.reason);
    return said;
}

std::string problem_of(const QuantizedLayer& layer) {
    std::string what;
    if (!layer.label.empty())
        what = fmt::format(" ('{}')", text::printable(layer.label));
    else if (!layer.configuration.empty())
        what =
            fmt::format(", but its {} names no format", layer.in_header ? "entry in the header" : "marker");
    return fmt::format("is quantized{}, and no format plugin can read it", what);
}

}  // namespace

uint64_t flat_experts_of(const std::string& layer, const Tensor& weight, const SortedJson& marker) {
    if (!may_be_flat_stack(layer, weight) || !marker.is_object()) return 1;
    const auto found = marker.find("num_experts");
    if (found == marker.end() || !found->is_number_unsigned()) return 1;
    const auto experts = found->get<uint64_t>();
    return experts > 1 && weight.shape.front() % experts == 0 ? experts : 1;
}

bool may_differ_in_length(const StoredTensor& stored) {
    return stored.role == HT_ROLE_STATE_JSON || stored.role == HT_ROLE_MARKER || stored.whole_file;
}

Unrecognized::Unrecognized(const QuantizedLayer& layer, std::vector<Answer> answers)
    : Error(Exit::input, layer.name, problem_of(layer), advice_of(answers)), answers_(std::move(answers)) {}

uint64_t StoredMatrix::held_bytes() const {
    uint64_t bytes = plan->facts().grid_bytes * experts();
    for (const Tensor* part : parts)
        if (part && part != weight) bytes += part->bytes;
    return bytes;
}

void demand_claimed(const StoredMatrix& matrix, const std::function<bool(const Tensor&)>& is_settled,
                    const UnclaimedAdvice& advice) {
    const auto open =
        std::ranges::find_if(matrix.unclaimed, [&](const Tensor* tensor) { return !is_settled(*tensor); });
    if (open == matrix.unclaimed.end()) return;
    const std::string& name = (*open)->name;
    throw Error(
        Exit::input, name,
        fmt::format("is not part of {}, the format of its layer, so it is not certain what the layer's "
                    "numbers are",
                    matrix.shown),
        advice(**open, text::printable("*" + name.substr(matrix.layer.size()))));
}

struct Recognition::State {
    std::shared_ptr<const Checkpoint> checkpoint;
    Registry& registry;
    std::shared_ptr<const Checkpoint> model;
    Candidates candidates{registry};
    std::map<std::string, std::vector<std::string>, std::less<>> file_markers = {};  // by prefix
    bool searched = false;
    std::optional<ModelWeights> model_weights = {};

    void find_file_markers() {
        constexpr size_t most = 64;  // of one prefix; real files have one
        if (std::exchange(searched, true)) return;
        for (std::string& name : whole_file_markers(*checkpoint)) {
            const size_t dot = name.rfind('.');
            std::vector<std::string>& found =
                file_markers[dot == std::string::npos ? "" : name.substr(0, dot)];
            if (found.size() == most)
                fail(Exit::input, name, "is one of more than {} markers for the same layers", most);
            found.push_back(std::move(name));
        }
    }

    // Of the markers for whole files or parts of them, those that are for this layer.
    std::vector<std::string> file_markers_of(std::string_view layer) const {
        std::vector<std::string> result;
        if (file_markers.empty()) return result;
        for (std::string_view prefix = layer; !prefix.empty();) {
            const size_t dot = prefix.rfind('.');
            prefix = dot == std::string_view::npos ? std::string_view() : prefix.substr(0, dot);
            if (const auto found = file_markers.find(prefix); found != file_markers.end())
                result.insert(result.end(), found->second.begin(), found->second.end());
        }
        return result;
    }

    // How the tensors of a stack of experts may lie: each has a dimension for them, or the rows of all of
    // them below each other.
    struct Stack {
        uint64_t experts = 1, all_rows = 0;
        bool flat = false;  // the weight itself has no dimension for them
    };

    Stack stack_of(const QuantizedLayer& layer) const {
        const Tensor* const weight = checkpoint->find(layer.name + ".weight");
        Stack stack{experts_of(layer), 0, weight && weight->shape.size() == 2};
        if (stack.experts == 1) return stack;
        stack.all_rows = stack.flat ? weight->shape[0] : weight->shape[0] * weight->shape[1];
        return stack;
    }

    // What a plugin sees: of a stack of experts the first.
    FoundLayer::Part part(const Tensor& tensor, const Stack& stack) const {
        FoundLayer::Part part{tensor.name, tensor.dtype, tensor.shape, {}};
        uint64_t bytes = tensor.bytes;
        const uint64_t first = tensor.shape.empty() ? 0 : tensor.shape.front();
        const bool each = first == stack.experts &&
                          (stack.flat ? first != stack.all_rows && part.shape.size() > 1 : first > 0);
        if (stack.experts > 1 && (each || (first > 0 && first == stack.all_rows))) {
            part.shape.front() /= stack.experts;
            if (each) part.shape.erase(part.shape.begin());
            bytes /= stack.experts;
        }
        if (bytes > most_shown_bytes) return part;
        part.bytes.emplace(bytes);
        checkpoint->read(tensor, 0, *part.bytes);
        return part;
    }

    uint64_t experts_of(const QuantizedLayer& layer) const {
        const Tensor* const weight = checkpoint->find(layer.name + ".weight");
        if (!weight) return 1;
        if (is_expert_stack(*weight)) return weight->shape.front();
        return may_be_flat_stack(layer.name, *weight)
                   ? flat_experts_of(layer.name, *weight, parse_sorted_json(layer.configuration))
                   : 1;
    }
    FoundLayer found_layer(const QuantizedLayer& layer) const {
        FoundLayer found{layer.name, {}, {}};
        const Stack stack = stack_of(layer);
        if (!layer.configuration.empty()) found.marker = marker_of(layer, stack.experts);
        for (const Tensor* tensor : tensors_of_layer(*checkpoint, layer.name))
            found.parts.push_back(part(*tensor, stack));
        for (const std::string& marker : file_markers_of(layer.name))
            found.parts.push_back(part(*checkpoint->find(marker), {}));
        return found;
    }

    // The layer again, with the shape that its weight has in the model in the marker; `why` it was not
    // recognized without.
    std::shared_ptr<const StoredMatrix> recognized_with_shape(const QuantizedLayer& layer, FoundLayer found,
                                                              const Unrecognized& why) {
        const auto fail_with = [&](const std::string& more) {
            throw Error(why.code(), why.where(), why.problem(), why.advice() + "\n" + more);
        };
        Json marker = parse_json(found.marker.value_or(""));
        if (!marker.is_object() || marker.contains("orig_shape")) throw why;
        if (!model_weights) model_weights.emplace(*model);
        const Tensor* const weight = model_weights->find(layer.name + ".weight");
        if (!weight)
            fail_with(fmt::format("{} does not tell its shape: it has no '{}.weight'",
                                  os::utf8(model->path().filename()), text::printable(layer.name)));
        marker["orig_shape"] = weight->shape;
        found.marker = marker.dump();
        try {
            return recognized_as(layer, found);
        } catch (const Error&) {
            fail_with(fmt::format("with the shape {} that it has in {} it cannot be read either",
                                  to_string(weight->shape), os::utf8(model->path().filename())));
        }
        return nullptr;
    }

    // The layer's tensors in the order of the plan; their sizes agree with it.
    void find_parts(StoredMatrix& matrix) const {
        for (const StoredTensor& stored : matrix.plan->stored()) {
            const Tensor* tensor = stored.whole_file ? nullptr : checkpoint->find(matrix.layer + stored.name);
            if (tensor && !has_size_of(*tensor, stored, matrix.experts()))
                fail(Exit::input, tensor->name, "has {} bytes of data; {} of a {} x {} matrix has {}{}",
                     tensor->bytes, matrix.shown, matrix.plan->source().rows, matrix.plan->source().cols,
                     stored.bytes,
                     matrix.experts() > 1 ? fmt::format(", for each of {} experts", matrix.experts()) : "");
            if (stored.role == HT_ROLE_WEIGHT) {
                if (!tensor)
                    fail(Exit::input, matrix.layer, "{} needs a tensor '{}', which the file lacks",
                         matrix.shown, text::printable(matrix.layer + stored.name));
                matrix.weight = tensor;
            }
            matrix.parts.push_back(tensor);
        }
    }

    void find_unclaimed(StoredMatrix& matrix) const {
        const std::vector<StoredTensor>& stored = matrix.plan->stored();
        for (const Tensor* tensor : tensors_of_layer(*checkpoint, matrix.layer)) {
            if (is_known_to_host(matrix.layer, tensor->name)) continue;
            const auto claims = [&](const StoredTensor& one) {
                return !one.whole_file && tensor->name == matrix.layer + one.name;
            };
            if (std::ranges::none_of(stored, claims)) matrix.unclaimed.push_back(tensor);
        }
    }

    std::shared_ptr<const StoredMatrix> made(const QuantizedLayer& layer,
                                             const std::shared_ptr<const Format>& known,
                                             Recognized recognized) const {
        const Format& format = *known;
        if (const uint64_t experts = experts_of(layer); experts > 1) {
            recognized.source.experts = experts;
            recognized.source.shape.insert(recognized.source.shape.begin(), experts);
        }
        auto matrix = std::make_shared<StoredMatrix>();
        matrix->layer = layer.name;
        matrix->format = known;
        matrix->options = recognized.options;
        const std::string options = recognized.options.summary();
        matrix->shown = format.id() + (options.empty() ? "" : " " + options);
        try {
            matrix->plan = format.prepare(recognized.source, recognized.options);
        } catch (const Refusal& refusal) {
            fail(Exit::input, layer.name, "it is {}, but {} refuses it: {}", matrix->shown,
                 format.library().name(), refusal.what());
        }
        find_parts(*matrix);
        find_unclaimed(*matrix);
        return matrix;
    }

    std::shared_ptr<const StoredMatrix> recognize(const QuantizedLayer& layer) {
        if (!layer.problem.empty())
            throw Error(Exit::input, layer.name, layer.problem,
                        "evidence: " + text::printable(layer.evidence));
        const os::Subject about(layer.name);
        find_file_markers();
        const FoundLayer found = found_layer(layer);
        try {
            return recognized_as(layer, found);
        } catch (const Unrecognized& why) {
            if (!model || !leaves_shape_to_model(layer)) throw;
            return recognized_with_shape(layer, found, why);
        }
    }

    // Codes in one row or column: of packed ones in a matrix the shape follows.
    bool leaves_shape_to_model(const QuantizedLayer& layer) const {
        const Tensor* const weight = checkpoint->find(layer.name + ".weight");
        return weight && (weight->shape.size() < 2 || (weight->shape.size() == 2 && weight->shape[1] == 1));
    }

    // What the file calls the layer's format: its label, or the marker for the whole file that speaks for it.
    std::string word_for(const QuantizedLayer& layer) const {
        if (!layer.label.empty()) return layer.label;
        for (const std::string& marker : file_markers_of(layer.name))
            return marker.substr(marker.rfind('.') + 1);  // npos + 1 is 0
        return "";
    }

    struct Claim {
        const Candidate* candidate;
        Recognized recognized;
    };

    [[noreturn]] void refuse_claims(const QuantizedLayer& layer, const std::vector<Claim>& claims) const {
        std::vector<std::string> names;
        for (const Claim& claim : claims)
            names.push_back(claim.candidate->format->library().culprit());
        throw Error(Exit::plugin, layer.name,
                    fmt::format("{} formats claim it, and may read different numbers from it: {}",
                                claims.size(), text::join(names, " and ")),
                    "leave one of them in the plugin folders: move the file of the other away");
    }

    static std::optional<Recognized> asked(const Candidate& candidate, const FoundLayer& found,
                                           std::string& problem) {
        problem = candidate.problem;
        if (!candidate.format) return std::nullopt;
        try {
            return candidate.format->recognize(found);
        } catch (const Refusal& refusal) {
            problem = refusal.what();
            return std::nullopt;
        }
    }

    std::shared_ptr<const StoredMatrix> recognized_as(const QuantizedLayer& layer, const FoundLayer& found) {
        const std::string word = word_for(layer);
        std::vector<Unrecognized::Answer> said;
        for (const Candidates::Stage stage : Candidates::stages) {
            std::vector<Claim> claims;
            for (const Candidate* candidate : candidates.at(stage, word)) {
                // What the file names would know better than any other.
                if (!candidate->format && candidate->id == word)
                    throw Error(
                        Exit::plugin, layer.name,
                        fmt::format("the plugin of its format cannot be used: {}", candidate->problem));
                std::string problem;
                if (auto recognized = asked(*candidate, found, problem))
                    claims.push_back({candidate, std::move(*recognized)});
                else
                    said.push_back({candidate->id, problem, candidate->knows(layer.label)});
            }
            if (claims.size() > 1) refuse_claims(layer, claims);
            if (claims.size() == 1)
                return made(layer, claims[0].candidate->format, std::move(claims[0].recognized));
        }
        throw Unrecognized(layer, std::move(said));
    }
};

Recognition::Recognition(std::shared_ptr<const Checkpoint> checkpoint, Registry& registry,
                         std::shared_ptr<const Checkpoint> model)
    : state_(new State{std::move(checkpoint), registry, std::move(model)}) {}

Recognition::~Recognition() = default;

std::shared_ptr<const StoredMatrix> Recognition::recognize(const QuantizedLayer& layer) {
    return state_->recognize(layer);
}

}  // namespace halftone
