#include "core/cli/synth/model.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <map>

#include "core/base/text.hpp"
#include "core/cli/synth/tensor_maker.hpp"
#include "core/tensor/convert.hpp"

namespace halftone::synth {

namespace {

constexpr unsigned version = 1;

template <class T>
bool read_number(std::string_view text, T& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string description(const ModelChoice& choice) {
    return fmt::format("family={} scale={} layers={} dtype={} seed={} version={}", choice.family->name,
                       scale_names[static_cast<size_t>(choice.scale)], choice.layers,
                       dtype::name(choice.dtype), choice.seed, version);
}

std::optional<ModelChoice> parse_description(std::string_view text) {
    std::map<std::string, std::string> values;
    for (const std::string& part : text::split(text, ' ')) {
        const size_t equals = part.find('=');
        if (equals == std::string::npos) return std::nullopt;
        values[part.substr(0, equals)] = part.substr(equals + 1);
    }
    ModelChoice choice;
    choice.family = find_family(values["family"]);
    const std::optional<Scale> scale = find_scale(values["scale"]);
    const std::optional<ht_dtype> dtype = dtype::from_name(values["dtype"]);
    if (!choice.family || !scale || !dtype || !read_number(values["layers"], choice.layers) ||
        !read_number(values["seed"], choice.seed))
        return std::nullopt;
    choice.scale = *scale;
    choice.dtype = *dtype;
    // What does not give the same text again was written by another version, or by nobody who knows.
    if (description(choice) != text) return std::nullopt;
    return choice;
}

struct ModelWriter::Job {
    TensorSpec spec;
    size_t file;
    uint64_t offset;
};

ModelWriter::ModelWriter(const ModelChoice& choice, Settings settings)
    : choice_(choice), settings_(std::move(settings)) {
    std::vector<OutputTensor> outputs;
    for (const TensorSpec& spec : choice.tensors()) {
        OutputTensor tensor;
        tensor.name = spec.name;
        tensor.dtype = choice.dtype;
        tensor.shape = spec.shape;
        outputs.push_back(std::move(tensor));
    }
    const Metadata metadata = {{"format", "pt"}, {std::string(metadata_key), description(choice)}};
    for (std::vector<OutputTensor>& shard : split_into_shards(std::move(outputs), settings_.shard_size))
        layouts_.push_back(lay_out(std::move(shard), metadata));
    for (const FileLayout& layout : layouts_)
        for (const OutputTensor& tensor : layout.tensors)
            tensor_bytes_ += tensor.bytes;
}

std::vector<std::filesystem::path> ModelWriter::write(Workers& workers, Progress& progress) const {
    std::map<std::string, TensorSpec> specs;
    for (TensorSpec& spec : choice_.tensors())
        specs.emplace(spec.name, std::move(spec));
    std::vector<Job> jobs;
    for (size_t file = 0; file < layouts_.size(); ++file)
        for (const OutputTensor& tensor : layouts_[file].tensors)
            jobs.push_back({specs.at(tensor.name), file, tensor.offset});

    Output output(settings_.output, layouts_, {});
    const auto need = [](uint64_t) { return JobMemory{}; };  // known as soon as the tensor's maker is there
    workers.each_job(jobs.size(), need, [&](uint64_t i, Workers::Share& share) {
        make(jobs[i], workers, share, progress, output);
        ++progress.tensors_done;
    });
    output.commit();
    return output.paths();
}

void ModelWriter::make(const Job& job, Workers& workers, Workers::Share& share, Progress& progress,
                       const Output& output) const {
    const std::unique_ptr<TensorMaker> maker = tensor_maker(choice_.seed, job.spec);
    const uint64_t rows = maker->rows(), cols = maker->cols();
    const uint64_t row_bytes = cols * dtype::bits(choice_.dtype) / 8;
    const uint64_t band = std::clamp<uint64_t>(settings_.band_bytes / row_bytes, 1, rows);
    const uint64_t bands = (rows + band - 1) / band;
    share.change({0, band * row_bytes + 3 * cols * sizeof(float)});
    workers.each_band(share, bands, [&](uint64_t index, Scratch& scratch) {
        const uint64_t first = index * band, count = std::min(band, rows - first);
        const auto values = std::span(
            reinterpret_cast<float*>(Scratch::sized(scratch.values, cols * sizeof(float)).data()), cols);
        const std::span<std::byte> bytes = Scratch::sized(scratch.encoded, count * row_bytes);
        std::vector<float> work;
        for (uint64_t i = 0; i < count; ++i) {
            maker->row(first + i, values, work);
            narrow(choice_.dtype, values, bytes.subspan(i * row_bytes, row_bytes));
        }
        output.write(job.file, job.offset + first * row_bytes, bytes);
        progress.work_done += bytes.size();
    });
}

}  // namespace halftone::synth
