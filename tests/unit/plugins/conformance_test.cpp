// The conformance kit passes what is sound and names what is not.

#include "plugins/conformance/conformance.hpp"

#include <algorithm>
#include <gtest/gtest.h>

#include "plugins/shared_object.hpp"
#include "tests/unit/plugins/support.hpp"

namespace halftone::conformance {
namespace {

using namespace testing_plugins;

Report checked(const std::string& id, uint64_t seed = 1) {
    const auto file = plugin_file(fixture("format-" + id + SharedObject::suffix()));
    return check(PluginLibrary::load(file, make_host()),
                 {.seed = seed, .named = {}, .labels_of_others = {"acme.other", "tiles"}});
}

const Result& result(const Report& report, const std::string& check) {
    const auto found = std::ranges::find(report.results, check, &Result::check);
    if (found == report.results.end()) throw std::runtime_error("there is no check " + check);
    return *found;
}

std::vector<std::string> failed(const Report& report) {
    std::vector<std::string> names;
    for (const Result& one : report.results)
        if (one.outcome == Outcome::failed) names.push_back(one.check);
    return names;
}

void expect_broken(const std::string& id, const std::vector<std::string>& checks,
                   const std::vector<std::string>& sentence) {
    for (const uint64_t seed : {1, 2, 3}) {
        const Report report = checked(id, seed);
        EXPECT_FALSE(report.passed());
        EXPECT_EQ(failed(report), checks) << id << ", seed " << seed;
        for (const std::string& part : sentence)
            EXPECT_NE(result(report, checks[0]).detail.find(part), std::string::npos)
                << "'" << part << "' in: " << result(report, checks[0]).detail;
    }
}

TEST(Conformance, PassesASoundFormatWithEverySeed) {
    for (const uint64_t seed : {1, 2, 77}) {
        const Report report = checked("tiles", seed);
        EXPECT_TRUE(report.passed());
        EXPECT_EQ(failed(report), std::vector<std::string>{});
        EXPECT_GT(report.matrices, 30u);
        for (const char* check :
             {"bands", "snap", "regions", "around", "sigma", "table", "load", "recognize"})
            EXPECT_GT(result(report, check).cases, 20u) << check;
        EXPECT_EQ(result(report, "rotate").outcome, Outcome::not_applicable);
    }
}

TEST(Conformance, TriesTheSameWithTheSameSeed) {
    const Report a = checked("tiles-no-column", 5), b = checked("tiles-no-column", 5);
    EXPECT_EQ(a.matrices, b.matrices);
    EXPECT_EQ(a.refused, b.refused);
    EXPECT_EQ(result(a, "regions").detail, result(b, "regions").detail);
}

TEST(Conformance, NamesASnapThatRoundsTiesUnlikeEncode) {
    expect_broken("tiles-snap-at-ties", {"snap", "table"},
                  {"snap() of ", " gives ", ", decode(encode()) ", "layout"});
}

TEST(Conformance, NamesActivationsThatAreRoundedOutsideOfTheirView) {
    const Report report = checked("tiles-past-activations");
    EXPECT_EQ(failed(report), std::vector<std::string>{"activations"});
    EXPECT_NE(result(report, "activations").detail.find("writes outside of its view"), std::string::npos);
    EXPECT_EQ(result(checked("tiles"), "activations").outcome, Outcome::not_applicable);
}

TEST(Conformance, NamesRegionsThatIgnoreTheirColumn) {
    expect_broken("tiles-no-column", {"regions"},
                  {"() on the region of ", " of the matrix, on the whole matrix "});
}

TEST(Conformance, NamesAFitThatDependsOnTheBand) {
    expect_broken("tiles-fit-by-band", {"bands", "weights"},
                  {"what is stored depends on the bands: in one band and in ", " it differs at byte "});
}

TEST(Conformance, NamesSlopesThatAreNotThoseOfTheTable) {
    expect_broken("tiles-half-sigma", {"sigma"},
                  {"sigma() gives ", " the value moves by ", " a step of the level"});
}

TEST(Conformance, NamesLabelsThatNoProgramCanRead) {
    expect_broken("bad-label", {"labels"},
                  {"label 'float32': loaders 'everyone since 1.0' are not written as"});
}

// The host adds it to what a format says.
TEST(Conformance, PassesDescriptionsWithoutFullPrecision) {
    EXPECT_EQ(result(checked("deaf"), "precision").outcome, Outcome::ok);
}

TEST(Conformance, NamesPlansThatIgnoreTheColumnsThatLoadersRead) {
    const Result wants = result(checked("packs-anyway"), "wants");
    EXPECT_EQ(wants.outcome, Outcome::failed);
    for (const char* words : {"prepare() takes a matrix with HT_WANTS_COLUMNS: loaders read its columns, ",
                              "would be stored as ["})
        EXPECT_NE(wants.detail.find(words), std::string::npos) << wants.detail;
    EXPECT_EQ(result(checked("tiles"), "wants").outcome, Outcome::ok);
}

TEST(Conformance, PassesSoundFormatsWithoutATable) {
    for (const char* id : {"faulty", "tiles-no-table"}) {
        const Report report = checked(id);
        EXPECT_EQ(failed(report), std::vector<std::string>{}) << id;
        EXPECT_GT(result(report, "recognize").cases, 20u) << id;
        EXPECT_GT(result(report, "numbers").cases, 20u) << id;
        EXPECT_GT(result(report, "others").cases, 20u) << id;
    }
}

TEST(Conformance, NamesSlopesThatAreNoStepsWhereThereIsNoTable) {
    expect_broken("tiles-no-table-sigma", {"sigma"},
                  {"sigma() gives ", "where the neighbours are ", "and all are that far apart"});
}

TEST(Conformance, NamesScalesThatCoverLessThanTheFactsSay) {
    expect_broken("tiles-no-table-row", {"sigma"},
                  {"sigma() gives ", "(scale_kind 2) one scale covers both"});
}

TEST(Conformance, NamesALoadThatTakesScalesThatAreNoNumbers) {
    expect_broken("tiles-takes-nan", {"numbers"}, {"load() takes a .weight_scale whose element ", " is NaN"});
    expect_broken("tiles-takes-negative", {"numbers"}, {"load() takes a .weight_scale", " is negative"});
}

TEST(Conformance, NamesAFormatThatTakesTheLayersOfAnother) {
    expect_broken("tiles-takes-others", {"others"},
                  {"whose marker says 'acme.other', a label of another format"});
}

TEST(Conformance, NamesAScaleThatIsNaNByItsElement) {
    const Report report = checked("nan-scale");
    EXPECT_FALSE(report.passed());
    EXPECT_NE(result(report, "scales").detail.find("companion 1 (.weight_scale), element 0 of 1 is NaN"),
              std::string::npos)
        << result(report, "scales").detail;
}

TEST(Conformance, NamesADescriptionThatNobodyRecognizes) {
    expect_broken("sound", {"recognize"},
                  {"describe() writes a configuration, but recognize() takes nothing"});
}

TEST(Conformance, NamesALabelWithoutASize) {
    expect_broken("short-label", {"calls"}, {"label 0 of its table claims a size of 0 bytes"});
}

TEST(Conformance, ProfilesAreHeldToTheirAnswers) {
    const auto file = plugin_file(fixture("model-fickle" + SharedObject::suffix()));
    const Report fickle = check(PluginLibrary::load(file, make_host()), {});
    EXPECT_NE(result(fickle, "decide").detail.find(", and then "), std::string::npos);
    const auto flux = plugin_file(bundled_folders().bundled / ("model-flux" + SharedObject::suffix()));
    const Report sound = check(PluginLibrary::load(flux, make_host()), {});
    EXPECT_EQ(failed(sound), std::vector<std::string>{});
    EXPECT_GT(result(sound, "decide").cases, 40u);
}

TEST(Conformance, NamesWhatTheRuntimeSees) {
    expect_broken("past-band", {"calls"}, {"encode() wrote after the ", " bytes that it was given"});
    expect_broken("past-grid", {"calls"}, {"wrote after the 4 bytes that it was given"});
    expect_broken("bad-description", {"calls"}, {"descri"});
}

}  // namespace
}  // namespace halftone::conformance
