// What a format says of matrices that could not be given all that was asked for.

#include <gtest/gtest.h>

#include "core/base/json.hpp"
#include "tests/cases/process.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone::test {
namespace {

TEST(Remarks, AreShownForTheMatrixAndCounted) {
    const TemporaryFolder folder;
    const std::string in = (folder / "in.safetensors").string(), out = (folder / "out.safetensors").string();
    write_checkpoint(in, {random_tensor("odd.0.weight", HT_DTYPE_BF16, {8, 100}, 1),
                          random_tensor("odd.1.weight", HT_DTYPE_BF16, {8, 36}, 2),
                          random_tensor("even.weight", HT_DTYPE_BF16, {8, 320}, 3)});
    write_text(folder / "p.toml",
               "[input]\npath = \"" + in + "\"\n[output]\npath = \"" + out +
                   "\"\n[model]\nprofile = \"none\"\n[quantize]\nformat = \"int8\"\n[format.int8]\n"
                   "scaling = \"row\"\nrotation = \"hadamard\"\n");
    const std::string remark = "unrotated: no power of 4 from 16 on divides the columns";
    const std::string pipeline = (folder / "p.toml").string();

    const Finished plan = halftone({"plan", pipeline, "--json"});
    ASSERT_EQ(plan.code, 0) << plan.err;
    const Json json = Json::parse(plan.out);
    EXPECT_EQ(json["totals"]["remarks"], (Json{{remark, 2}}));
    for (const Json& tensor : json["tensors"])
        EXPECT_EQ(tensor.value("reason", ""), tensor["name"] == "even.weight" ? "" : remark);

    const std::string line = "2 matrices " + remark + "\n";
    const Finished shown = halftone({"plan", pipeline});
    EXPECT_NE(shown.out.find(line), std::string::npos) << shown.out;
    const Finished run = halftone({"run", pipeline});
    ASSERT_EQ(run.code, 0) << run.err;
    EXPECT_NE((run.out + run.err).find(line), std::string::npos) << run.out << run.err;
}

}  // namespace
}  // namespace halftone::test
