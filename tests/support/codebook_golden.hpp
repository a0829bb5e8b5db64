// The golden matrices of formats with a fixed book of 16 levels.
#pragma once

#include <gtest/gtest.h>

#include "core/base/cpu.hpp"
#include "tests/support/format_plan.hpp"
#include "tests/support/golden_words.hpp"

namespace halftone::format_test {

inline void expect_golden_codebooks(const std::string& path) {
    GoldenWords golden(path);
    int seen = 0;
    for (; golden.entry("matrix"); ++seen) {
        const std::string name = golden.word(), layout = golden.word(), block = golden.word();
        Matrix matrix;
        matrix.rows = golden.count();
        matrix.cols = golden.count();
        const uint64_t blocks = golden.count();
        const std::string what = name + " " + layout + ", " + golden.word();
        matrix.values = golden.floats(matrix.rows * matrix.cols);
        const Bytes codes = golden.bytes((matrix.rows * matrix.cols + 1) / 2);
        const std::vector<uint32_t> absmax = bits(golden.floats(blocks));
        const bool genuine = layout == "bitsandbytes";
        for (const ht_cpu cpu : cpu::available()) {
            const Level level(cpu);
            const Plan plan(
                source_of(matrix.rows, matrix.cols, genuine ? HT_DIALECT_BITSANDBYTES : HT_DIALECT_COMFY),
                {{"block_size", block}, {"double_quant", "false"}});
            const Grid grid = plan.fit(matrix);
            EXPECT_EQ(codes, plan.encode(grid, matrix)) << what << ", " << cpu::name(cpu);
            EXPECT_EQ(absmax, numbers<uint32_t>(plan.companion(grid, genuine ? ".weight.absmax" : ".absmax")))
                << what << ", " << cpu::name(cpu);
        }
    }
    EXPECT_GT(seen, 20);
}

}  // namespace halftone::format_test
