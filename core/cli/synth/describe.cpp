#include "core/cli/synth/describe.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "core/base/text.hpp"
#include "core/cli/synth/measure.hpp"
#include "core/cli/synth/traits.hpp"
#include "core/report/table.hpp"

namespace halftone::synth {

namespace {

TextTable trait_table() {
    TextTable table;
    table.columns = {{"matrix"},         {"shape"},          {"rms", true},       {"decay", true},
                     {"kurtosis", true}, {"outliers", true}, {"their size", true}};
    return table;
}

std::string limits_text() {
    const TraitLimits& limits = trait_limits;
    return fmt::format(
        "rms and kurtosis (excess) are those of the elements outside the outlier columns; singular values "
        "fall\n"
        "as i^-decay. Made to lie within: decay {:.1f} to {:.1f}, kurtosis {:.0f} to {:.0f}, {:.1f} to "
        "{:.0f} % of "
        "outlier columns of {:.0f} to {:.0f} times\n"
        "the rms; a matrix of less than {:.0f} columns has none.\n",
        limits.decay_least, limits.decay_most, limits.kurtosis_least, limits.kurtosis_most,
        100 * limits.share_least, 100 * limits.share_most, limits.factor_least, limits.factor_most,
        1 / limits.share_most);
}

std::string factors(double least, double most) {
    if (most <= 0) return "-";
    const std::string low = fmt::format("{:.1f}", least), high = fmt::format("{:.1f}", most);
    return low == high ? low + "x" : low + "-" + high + "x";
}

std::string outliers(uint64_t count, uint64_t cols) {
    if (count == 0) return "0";
    return fmt::format("{} ({:.2f} %)", count,
                       100.0 * static_cast<double>(count) / static_cast<double>(cols));
}

bool is_matrix(const TensorSpec& spec) {
    return spec.kind == Kind::matrix || spec.kind == Kind::embedding;
}

Traits traits_of(uint64_t seed, const TensorSpec& spec) {
    return draw_traits(seed, spec.name, spec.shape[0], spec.shape[1], spec.kind);
}

std::vector<const Tensor*> matrices_of(const Checkpoint& checkpoint) {
    std::vector<const Tensor*> matrices;
    for (const Tensor& tensor : checkpoint.tensors())
        if (measurable(tensor)) matrices.push_back(&tensor);
    return matrices;
}

std::map<std::string, Traits> declared_traits(const Checkpoint& checkpoint) {
    std::map<std::string, Traits> result;
    for (const auto& [key, value] : checkpoint.metadata()) {
        if (key != metadata_key) continue;
        const std::optional<ModelChoice> choice = parse_description(value);
        // A hostile number of layers must not cost more than the file's own tensors.
        if (!choice || choice->layers > checkpoint.tensors().size()) break;
        for (const TensorSpec& spec : choice->tensors())
            if (is_matrix(spec) && checkpoint.find(spec.name))
                result[spec.name] = traits_of(choice->seed, spec);
    }
    return result;
}

std::string beside(const std::string& measured, const std::string& declared) {
    return measured + " (" + declared + ")";
}

std::vector<std::string> measured_row(const Tensor& tensor, const Measured& found, const Traits* declared) {
    std::vector<std::string> row = {
        text::printable(tensor.name, std::string::npos), to_string(tensor.shape),
        fmt::format("{:.3g}", found.deviation),          fmt::format("{:.3f}", found.decay),
        fmt::format("{:.2f}", found.kurtosis),           outliers(found.outliers, tensor.shape[1]),
        factors(found.factor_least, found.factor_most)};
    if (declared) {
        row[2] = beside(row[2], fmt::format("{:.3g}", declared->deviation));
        row[3] = beside(row[3], fmt::format("{:.3f}", declared->decay));
        row[4] = beside(row[4], fmt::format("{:.2f}", declared->kurtosis));
        row[5] = beside(row[5], std::to_string(declared->outliers));
        row[6] = beside(row[6], factors(declared->factor_least, declared->factor_most));
    }
    return row;
}

}  // namespace

std::string declared_table(const ModelChoice& choice, int width) {
    TextTable table = trait_table();
    for (const TensorSpec& spec : choice.tensors()) {
        if (!is_matrix(spec)) continue;
        const Traits traits = traits_of(choice.seed, spec);
        table.rows.push_back({spec.name, to_string(spec.shape), fmt::format("{:.3g}", traits.deviation),
                              fmt::format("{:.3f}", traits.decay), fmt::format("{:.2f}", traits.kurtosis),
                              outliers(traits.outliers, spec.shape[1]),
                              factors(traits.factor_least, traits.factor_most)});
    }
    return table.text(width) + "\n" + limits_text();
}

void set_totals(Progress& progress, const Checkpoint& checkpoint) {
    for (const Tensor* tensor : matrices_of(checkpoint)) {
        ++progress.tensors_total;
        progress.work_total += tensor->bytes;
    }
    progress.bytes_total = progress.work_total;
}

std::string measured_table(const Checkpoint& checkpoint, Workers& workers, Progress& progress, int width) {
    const std::vector<const Tensor*> matrices = matrices_of(checkpoint);
    const std::map<std::string, Traits> declared = declared_traits(checkpoint);

    TextTable table = trait_table();
    table.rows.resize(matrices.size());
    const auto need = [](uint64_t) { return JobMemory{}; };  // some rows at a time
    workers.each_job(matrices.size(), need, [&](uint64_t i, Workers::Share&) {
        const Tensor& tensor = *matrices[i];
        const auto traits = declared.find(tensor.name);
        table.rows[i] = measured_row(tensor, measure(checkpoint, tensor),
                                     traits == declared.end() ? nullptr : &traits->second);
        progress.work_done += tensor.bytes;
        ++progress.tensors_done;
    });
    std::string note =
        fmt::format("{} of {} tensors are matrices of floats with at least {} rows and columns\n",
                    matrices.size(), checkpoint.tensors().size(), least_side);
    if (!declared.empty()) note += "measured (declared by the seed that the file was made from)\n";
    return table.text(width) + "\n" + note + limits_text();
}

std::string family_table(int width) {
    TextTable table;
    table.columns = {{"family"},           {"scale"},         {"layers", true},  {"tensors", true},
                     {"parameters", true}, {"in BF16", true}, {"a layer", true}, {"what"}};
    table.elastic = 7;
    for (const Family& family : families())
        for (size_t scale = 0; scale < scale_names.size(); ++scale) {
            const auto parameters = [&](unsigned layers) {
                uint64_t sum = 0;
                for (const TensorSpec& spec : tensors(family, static_cast<Scale>(scale), layers))
                    sum += element_count(spec.shape).value_or(0);
                return sum;
            };
            const uint64_t all = parameters(family.layers);
            table.rows.push_back(
                {std::string(family.name), std::string(scale_names[scale]), std::to_string(family.layers),
                 std::to_string(tensors(family, static_cast<Scale>(scale), family.layers).size()),
                 text::grouped(all), text::bytes(2 * all),
                 text::bytes(2 * (all - parameters(family.layers - 1))), std::string(family.title)});
        }
    return table.text(width);
}

}  // namespace halftone::synth
