#include "core/plan/stored_matrix.hpp"

#include <algorithm>
#include <map>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/os/foreign_call.hpp"
#include "core/base/text.hpp"
#include "core/plan/selection.hpp"
#include "core/plan/stored_types.hpp"
#include "plugins/call.hpp"

namespace halftone {
namespace {

constexpr uint64_t most_shown_bytes = 64 * 1024;  // what a plugin sees of a tensor, or nothing of it

// A format that may be asked, or why it may not.
struct Candidate {
    std::string id;
    std::shared_ptr<const Format> format;
    std::vector<std::string> labels;
    std::string problem;
};

// Experts share a codebook, and what has no dimensions: of all else loaders take the part of each expert.
bool has_size_of(const Tensor& tensor, const StoredTensor& stored, uint64_t experts) {
    const uint64_t bytes = is_converted(tensor, stored)
                               ? tensor.bytes * dtype::bits(stored.dtype) / dtype::bits(tensor.dtype)
                               : tensor.bytes;
    const bool shared = tensor.shape.empty() || stored.role == HT_ROLE_CODEBOOK;
    return bytes == stored.bytes * experts ||
           (bytes == stored.bytes && shared && stored.role != HT_ROLE_WEIGHT) || may_differ_in_length(stored);
}

// As formats see it. Loaders look for what an embedding table's marker says at its root alone; of a stack of
// experts, of which formats see the first, it says how many there are.
std::string marker_of(const QuantizedLayer& layer, uint64_t experts) {
    Json marker = Json::parse(layer.configuration, nullptr, /*allow_exceptions=*/false);
    if (!marker.is_object()) return layer.configuration;
    const bool hidden = is_embedding(layer.name + ".weight") && marker.erase("params") > 0;
    const bool counted = experts > 1 || marker.contains("num_experts");
    if (counted) marker["num_experts"] = experts;
    if (!hidden && !counted) return layer.configuration;
    return marker.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

std::string advice_of(const std::vector<Unrecognized::Answer>& answers) {
    if (answers.empty()) return "there are no format plugins";
    std::string said = "what they said:";
    for (const Unrecognized::Answer& answer : answers)
        said += fmt::format("\n  {}: {}", answer.format, answer.reason);
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

struct Recognition::State {
    std::shared_ptr<const Checkpoint> checkpoint;
    Registry& registry;
    std::shared_ptr<const Checkpoint> model;
    std::vector<std::string> file_markers = {};
    std::vector<Candidate> candidates = {};
    bool opened = false;

    void open_plugins() {
        if (std::exchange(opened, true)) return;
        file_markers = whole_file_markers(*checkpoint);
        for (const std::string& id : registry.ids(HT_KIND_FORMAT)) {
            Candidate candidate{id, nullptr, {}, {}};
            try {
                candidate.format = registry.format(id);
                for (const Format::Label& label : candidate.format->labels())
                    candidate.labels.push_back(label.label);
            } catch (const Error& error) {  // another one may know the layer
                candidate.format = nullptr;
                candidate.problem = error.what();
            }
            candidates.push_back(std::move(candidate));
        }
    }

    // What a plugin sees: of a stack of experts the first.
    FoundLayer::Part part(const Tensor& tensor, uint64_t experts) const {
        FoundLayer::Part part{tensor.name, tensor.dtype, tensor.shape, {}};
        uint64_t bytes = tensor.bytes;
        if (experts > 1 && !tensor.shape.empty() && tensor.shape.front() == experts) {
            part.shape.erase(part.shape.begin());
            bytes /= experts;
        }
        if (bytes > most_shown_bytes) return part;
        part.bytes.emplace(bytes);
        checkpoint->read(tensor, 0, *part.bytes);
        return part;
    }

    uint64_t experts_of(const QuantizedLayer& layer) const {
        const Tensor* const weight = checkpoint->find(layer.name + ".weight");
        return weight && is_expert_stack(*weight) ? weight->shape.front() : 1;
    }

    std::vector<const Tensor*> tensors_of(const std::string& layer) const {
        std::vector<const Tensor*> found;
        const std::string prefix = layer + ".";
        const std::vector<Tensor>& tensors = checkpoint->tensors();
        for (auto at = std::ranges::lower_bound(tensors, prefix, {}, &Tensor::name);
             at != tensors.end() && at->name.starts_with(prefix); ++at)
            if (is_of_layer(layer, at->name)) found.push_back(&*at);
        return found;
    }

    FoundLayer found_layer(const QuantizedLayer& layer) const {
        FoundLayer found{layer.name, {}, {}};
        const uint64_t experts = experts_of(layer);
        if (!layer.configuration.empty()) found.marker = marker_of(layer, experts);
        for (const Tensor* tensor : tensors_of(layer.name))
            found.parts.push_back(part(*tensor, experts));
        for (const std::string& marker : file_markers)
            found.parts.push_back(part(*checkpoint->find(marker), 1));
        return found;
    }

    // The layer's weight in the model, whose names may have a prefix more or less; null: there is none.
    const Tensor* weight_in_model(const std::string& layer) const {
        const std::string name = layer + ".weight";
        if (const Tensor* const found = model->find(name)) return found;
        for (const Tensor& tensor : model->tensors())
            if (tensor.name.ends_with("." + name) || name.ends_with("." + tensor.name)) return &tensor;
        return nullptr;
    }

    // The layer again, with the shape that its weight has in the model in the marker; `why` it was not
    // recognized without.
    std::shared_ptr<const StoredMatrix> recognized_with_shape(const QuantizedLayer& layer, FoundLayer found,
                                                              const Unrecognized& why) const {
        const auto fail_with = [&](const std::string& more) {
            throw Error(why.code(), why.where(), why.problem(), why.advice() + "\n" + more);
        };
        Json marker = Json::parse(found.marker.value_or(""), nullptr, /*allow_exceptions=*/false);
        if (!marker.is_object() || marker.contains("orig_shape")) throw why;
        const Tensor* const weight = weight_in_model(layer.name);
        if (!weight)
            fail_with(fmt::format("nor does {} tell its shape: it has no '{}.weight'",
                                  os::utf8(model->path().filename()), text::printable(layer.name)));
        marker["orig_shape"] = weight->shape;
        found.marker = marker.dump();
        try {
            return recognized_as(layer, found);
        } catch (const Error&) {
            fail_with(fmt::format("nor is it of the shape {} that it has in {}", to_string(weight->shape),
                                  os::utf8(model->path().filename())));
        }
        return nullptr;
    }

    static bool knows(const Candidate& candidate, const std::string& label) {
        return std::ranges::find(candidate.labels, label) != candidate.labels.end();
    }

    std::vector<const Candidate*> in_order(const std::string& label) const {
        std::vector<const Candidate*> order;
        for (const Candidate& candidate : candidates)
            order.push_back(&candidate);
        std::ranges::stable_partition(order,
                                      [&](const Candidate* candidate) { return knows(*candidate, label); });
        return order;
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
        for (const Tensor* tensor : tensors_of(matrix.layer)) {
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
            throw Error(Exit::input, layer.name, layer.problem, "evidence: " + layer.evidence);
        const os::Subject about(layer.name);
        open_plugins();
        const FoundLayer found = found_layer(layer);
        try {
            return recognized_as(layer, found);
        } catch (const Unrecognized& why) {
            if (!model) throw;
            return recognized_with_shape(layer, found, why);
        }
    }

    std::shared_ptr<const StoredMatrix> recognized_as(const QuantizedLayer& layer,
                                                      const FoundLayer& found) const {
        std::vector<Unrecognized::Answer> said;
        for (const Candidate* candidate : in_order(layer.label)) {
            std::string problem = candidate->problem;
            if (candidate->format) {
                try {
                    return made(layer, candidate->format, candidate->format->recognize(found));
                } catch (const Refusal& refusal) {
                    problem = refusal.what();
                }
            }
            said.push_back({candidate->id, problem, knows(*candidate, layer.label)});
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
