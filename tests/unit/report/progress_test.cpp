#include <gtest/gtest.h>

#include "core/report/progress_display.hpp"

namespace halftone {
namespace {

void fill(Progress& progress, uint64_t done, uint64_t total) {
    progress.work_done = done;
    progress.work_total = total;
    progress.bytes_total = total / 2;  // every byte is read twice
    progress.tensors_done = 3;
    progress.tensors_total = 8;
}

TEST(ProgressText, TellsShareTensorsRateAndTimeLeft) {
    Progress progress;
    fill(progress, 1ull << 30, 4ull << 30);
    const std::string text = progress_text(progress, 2.0, 0);
    EXPECT_NE(text.find(" 25%"), std::string::npos) << text;
    EXPECT_NE(text.find("3/8 tensors"), std::string::npos) << text;
    EXPECT_NE(text.find("256 MiB/s"), std::string::npos) << text;
    EXPECT_NE(text.find("ETA 6 s"), std::string::npos) << text;
}

TEST(ProgressText, MakesNoPromiseAtTheVeryStart) {
    Progress progress;
    fill(progress, 1, 1ull << 30);
    EXPECT_EQ(progress_text(progress, 0.1, 0).find("ETA"), std::string::npos);
}

TEST(ProgressText, NeverClaimsMoreThanEverything) {
    Progress progress;
    fill(progress, 300, 100);
    EXPECT_NE(progress_text(progress, 1, 0).find("100%"), std::string::npos);
}

TEST(ProgressText, DrawsABarOnlyWhereThereIsRoomAndStaysInTheLine) {
    Progress progress;
    fill(progress, 1ull << 30, 2ull << 30);
    for (int width : {40, 80, 100, 120, 200}) {
        const std::string text = progress_text(progress, 2.0, width);
        const bool fits = !text.starts_with("[") || text.size() < static_cast<size_t>(width);
        EXPECT_TRUE(fits) << text;
    }
    EXPECT_EQ(progress_text(progress, 2.0, 40)[0], ' ');
    EXPECT_EQ(progress_text(progress, 2.0, 200)[0], '[');
}

}  // namespace
}  // namespace halftone
