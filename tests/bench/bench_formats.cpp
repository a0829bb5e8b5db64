// The inner loops, one thread, one band of the size that a run uses: widening, and every function of every
// bundled format that a run or an optimizer calls for each band. For each CPU level that this machine has.
// Items are elements.
//     bench_formats --benchmark_filter='avx2.*encode'

#include <benchmark/benchmark.h>
#include <cstring>
#include <functional>
#include <random>

#include "core/base/aligned.hpp"
#include "core/base/cpu.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/tensor/convert_kernels.hpp"
#include "plugins/registry.hpp"

namespace halftone {
namespace {

// A band of core/run, tall enough for the tiles of every format.
constexpr uint64_t rows = 128, cols = 1024, elements = rows * cols;

Log& quiet() {
    static Log log({Log::Style::human, Level::error, false});
    return log;
}

struct Mode {
    std::string format, name;
    GivenOptions options;
};

// The defaults of every format, and every other choice of each option that has choices.
std::vector<Mode> modes() {
    Registry registry(PluginFolders::standard({}), std::make_shared<PluginHost>(quiet(), cpu::level()));
    std::vector<Mode> all;
    for (const std::string& id : registry.ids(HT_KIND_FORMAT)) {
        all.push_back({id, id, {}});
        const OptionTable& table = registry.format(id)->library().options();
        for (size_t i = 0; i < table.size(); ++i) {
            const ht_option& option = table.row(i);
            for (size_t c = 0; option.type == HT_CHOICE && option.choices[c]; ++c)
                if (std::strcmp(option.choices[c], option.fallback) != 0)
                    all.push_back({id,
                                   id + "," + option.name + "=" + option.choices[c],
                                   {{option.name, {std::string(option.choices[c]), "benchmark"}}}});
        }
    }
    return all;
}

std::vector<float> weights() {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0.0f, 0.02f);
    std::vector<float> values(elements);
    for (float& value : values)
        value = normal(random);
    return values;
}

// A fitted format and the buffers that its functions fill.
struct Fixture {
    Registry registry;
    std::shared_ptr<const FormatPlan> plan;
    std::vector<float> in = weights(), out = weights(), other = weights();
    ht_region region{0, 0, rows, cols};
    ht_view from{in.data(), cols, 1}, to{out.data(), cols, 1}, also{other.data(), cols, 1};
    Grid grid;
    AlignedBytes partials, band;

    Fixture(const Mode& mode, ht_cpu level)
        : registry(PluginFolders::standard({}), std::make_shared<PluginHost>(quiet(), level)) {
        const auto format = registry.format(mode.format);
        const auto options = OptionValues::resolve(format->library().options(), mode.options, mode.format);
        plan = format->prepare({HT_DTYPE_BF16, HT_DIALECT_COMFY, 0, {rows, cols}, 1, rows, cols}, options);
        grid = plan->make_grid();
        const ht_facts& facts = plan->facts();
        const uint64_t granules = (rows + facts.granule_rows - 1) / facts.granule_rows;
        partials = AlignedBytes(granules * facts.partial_bytes);
        for (uint32_t pass = 0; pass < facts.passes; ++pass) {
            plan->fit_pass(pass, region, from, nullptr, grid, partials.data());
            plan->fit_fold(pass, partials.bytes(), granules, grid);
        }
        if (plan->fits_bands()) plan->fit_band(region, from, nullptr, grid);
        plan->fit_seal(grid);
        band = AlignedBytes(plan->band_bytes(0, rows));
        plan->encode(grid, region, from, band.bytes());
    }
};

void measure(benchmark::State& state, const Mode& mode, ht_cpu level,
             const std::function<void(Fixture&)>& call) {
    try {
        Fixture fixture(mode, level);
        while (state.KeepRunning()) {
            call(fixture);
            benchmark::ClobberMemory();
        }
        state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * elements));
    } catch (const std::exception& problem) {  // a format may refuse this shape
        state.SkipWithError(problem.what());
    }
}

void add(const Mode& mode, ht_cpu level, const std::string& function,
         const std::function<void(Fixture&)>& call) {
    const std::string name = cpu::name(level) + "/" + mode.name + "/" + function;
    benchmark::RegisterBenchmark(name.c_str(),
                                 [=](benchmark::State& state) { measure(state, mode, level, call); });
}

void add_format(const Mode& mode, ht_cpu level) {
    add(mode, level, "fit", [](Fixture& f) {
        if (f.plan->facts().passes) f.plan->fit_pass(0, f.region, f.from, nullptr, f.grid, f.partials.data());
        if (f.plan->fits_bands()) f.plan->fit_band(f.region, f.from, nullptr, f.grid);
    });
    add(mode, level, "encode", [](Fixture& f) { f.plan->encode(f.grid, f.region, f.from, f.band.bytes()); });
    add(mode, level, "decode", [](Fixture& f) { f.plan->decode(f.grid, f.region, f.band.bytes(), f.to); });
    add(mode, level, "snap", [](Fixture& f) { f.plan->snap(f.grid, f.region, f.from, f.to); });
    add(mode, level, "around", [](Fixture& f) { f.plan->around(f.grid, f.region, f.from, f.to, f.also); });
}

const ConvertKernels& conversions(ht_cpu level) {
#if defined(__x86_64__)
    if (level == HT_CPU_AVX2) return avx2::convert_kernels;
    if (level == HT_CPU_AVX512) return avx512::convert_kernels;
#endif
    return baseline::convert_kernels;
}

void add_widening(const std::string& dtype, ht_cpu level, ConvertKernels::Widen* widen) {
    benchmark::RegisterBenchmark(
        (cpu::name(level) + "/widen " + dtype).c_str(), [=](benchmark::State& state) {
            const std::vector<unsigned char> from(elements * sizeof(double), 0x3D);
            std::vector<float> to(elements);
            while (state.KeepRunning()) {
                benchmark::DoNotOptimize(widen(from.data(), to.data(), elements));
                benchmark::ClobberMemory();
            }
            state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * elements));
        });
}

void add_all() {
    for (const ht_cpu level : cpu::available()) {
        const ConvertKernels& kernels = conversions(level);
        add_widening("bf16", level, kernels.from_bf16);
        add_widening("f16", level, kernels.from_f16);
        add_widening("f32", level, kernels.from_f32);
        for (const Mode& mode : modes())
            add_format(mode, level);
    }
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
    try {
        halftone::add_all();
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "error: %s\n", problem.what());
        return 1;
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
