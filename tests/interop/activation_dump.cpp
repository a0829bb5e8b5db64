// Has a format round a batch of a layer's inputs as its loaders do: float32 from the input to the output, in
// the basis of the grid.
//     activation_dump FORMAT COLUMNS INPUT_SCALE|none OPTION=VALUE... < floats > floats

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/base/cpu.hpp"
#include "core/base/log.hpp"
#include "plugins/registry.hpp"

namespace {

using namespace halftone;

GivenOptions given(int argc, char** argv, int first) {
    GivenOptions options;
    for (int i = first; i < argc; ++i) {
        const std::string word = argv[i];
        const size_t equals = word.find('=');
        const std::string value = word.substr(equals + 1);
        GivenValue& option = options[word.substr(0, equals)];
        if (value.find_first_not_of("0123456789") == std::string::npos)
            option.value = static_cast<int64_t>(std::stoll(value));
        else
            option.value = value;
    }
    return options;
}

void round(int argc, char** argv) {
    const uint64_t cols = std::stoull(argv[2]);
    const std::string scale = argv[3];
    Log log({});
    Registry registry(PluginFolders::standard({}), std::make_shared<PluginHost>(log, cpu::level()));
    const std::shared_ptr<const Format> format = registry.format(argv[1]);
    MatrixSource source;
    source.dtype = HT_DTYPE_BF16;
    source.rows = cols;  // of the weight; no format minds a square one
    source.cols = cols;
    source.shape = {cols, cols};
    const auto plan = format->prepare(
        source, OptionValues::resolve(format->library().options(), given(argc, argv, 4), argv[1]));

    std::vector<float> values(1u << 20);
    values.resize(std::fread(values.data(), sizeof(float), values.size(), stdin) / cols * cols);
    const ht_view view{values.data(), static_cast<int64_t>(cols), 1};
    plan->rotate(false, view, values.size() / cols);
    plan->round_activations(scale == "none" ? std::nullopt : std::optional(std::stof(scale)), view,
                            values.size() / cols);
    std::fwrite(values.data(), sizeof(float), values.size(), stdout);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) {
        std::fputs(
            "usage: activation_dump FORMAT COLUMNS INPUT_SCALE|none OPTION=VALUE... < floats > floats\n",
            stderr);
        return 2;
    }
    try {
        round(argc, argv);
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "%s\n", problem.what());
        return 1;
    }
    return std::fflush(stdout) != 0;
}
