// time_learning WEIGHTS ROWS COLS RANK FORMAT OPTIMIZER [DEVICE] [OPTION=NUMBER]...
//
// Learns the rounding of a matrix of raw float32 numbers, three times over, and prints what the fastest took
// as one line of JSON. DEVICE is "cpu" or the id of a device plugin; "auto" if left out.
#include <chrono>
#include <cstdio>
#include <fmt/format.h>
#include <fstream>
#include <iostream>

#include "core/base/cpu.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/rounding/fit.hpp"
#include "core/rounding/learn.hpp"
#include "plugins/registry.hpp"

namespace halftone {
namespace {

Matrix read_weights(const std::string& path, uint64_t rows, uint64_t cols) {
    Matrix weights(rows, cols);
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(weights.data()),
              static_cast<std::streamsize>(rows * cols * sizeof(float)));
    if (!file) fail(Exit::input, path, "holds less than {} x {} numbers", rows, cols);
    return weights;
}

double seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int run(const std::vector<std::string>& given) {
    if (given.size() < 6) {
        std::cerr
            << "usage: time_learning WEIGHTS ROWS COLS RANK FORMAT OPTIMIZER [DEVICE] [OPTION=NUMBER]...\n";
        return 2;
    }
    const uint64_t rows = std::stoull(given[1]), cols = std::stoull(given[2]), rank = std::stoull(given[3]);
    const Matrix weights = read_weights(given[0], rows, cols);
    Log log{Log::Settings{}};
    Registry registry(PluginFolders::standard({}), std::make_shared<PluginHost>(log, cpu::level()));
    const auto format = registry.format(given[4]);
    const auto optimizer = registry.optimizer(given[5]);
    GivenOptions options;
    for (size_t i = 7; i < given.size(); ++i) {
        const size_t at = given[i].find('=');
        const std::string number = given[i].substr(at + 1);
        const bool whole = number.find_first_not_of("0123456789") == std::string::npos;
        options[given[i].substr(0, at)] = whole ? GivenValue{static_cast<int64_t>(std::stoll(number)), ""}
                                                : GivenValue{std::stod(number), ""};
    }
    const OptionValues values =
        OptionValues::resolve(optimizer->library().options(), options, optimizer->id());
    const auto plan = format->prepare(
        {.dtype = HT_DTYPE_F32, .shape = {rows, cols}, .experts = 1, .rows = rows, .cols = cols},
        OptionValues::resolve(format->library().options(), {}, format->id()));
    const Grid grid = fitted_grid(*plan, weights);
    const DeviceChoice choice = choose_device(registry, given.size() > 6 ? given[6] : "auto", "");

    constexpr int times = 3;
    double best = 0;
    Learned fastest;
    for (int i = 0; i < times; ++i) {
        RoundingTask task;
        task.format = plan.get();
        task.grid = &grid;
        task.weights = Matrix(rows, cols);
        std::copy_n(weights.data(), rows * cols, task.weights.data());
        task.objective = {"svd", rank, nullptr};
        task.judge.terms.push_back({1, task.objective});
        task.judge.squared_error_cap = 1.03;
        task.seed = 1;
        task.matrices = optimizer->matrices(values);
        const double start = seconds();
        Learned learned = learn_rounding(std::move(task), *optimizer, values, choice.device);
        const double took = seconds() - start;
        if (i > 0 && took >= best) continue;  // the first also pays for what is loaded once
        best = took;
        fastest = std::move(learned);
    }
    const RoundingResult& result = fastest.result;
    std::cout << fmt::format("{{\"seconds\": {:.4f}", best);
    for (const auto& [name, took] : result.phases)
        std::cout << fmt::format(", \"{}\": {:.4f}", name, took);
    std::cout << fmt::format(
        ", \"candidates\": {}, \"loss\": {:.6f}, \"squared_error\": {:.6f}, \"nearest_loss\": {:.6g}, "
        "\"why_on_cpu\": \"{}\"}}\n",
        result.candidates, std::sqrt(result.best.loss / result.nearest.loss),
        result.best.squared_error / result.nearest.squared_error, std::sqrt(result.nearest.loss),
        choice.device ? fastest.why_on_cpu : choice.why);
    return 0;
}

}  // namespace
}  // namespace halftone

int main(int n, char** given) {
    try {
        return halftone::run({given + 1, given + n});
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
