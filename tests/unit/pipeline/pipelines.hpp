#pragma once

#include <filesystem>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/pipeline/pipeline.hpp"

namespace halftone {

// Six lines, ending inside [quantize].
inline const std::string least =
    "[input]\n"
    "path = \"in.safetensors\"\n"
    "[output]\n"
    "path = \"out.safetensors\"\n"
    "[quantize]\n"
    "format = \"fp8\"\n";

inline Pipeline parsed(const std::string& toml, const std::vector<Override>& overrides = {}) {
    return parse_pipeline(toml, "t.toml", "", overrides);
}

// The error that a pipeline is refused with; a failed test if it is not.
inline std::optional<Error> refusal(const std::string& toml, const std::vector<Override>& overrides = {}) {
    try {
        parsed(toml, overrides);
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::usage) << error.what();
        return error;
    }
    ADD_FAILURE() << "accepted:\n" << toml;
    return std::nullopt;
}

// Everything but places and warnings, in a form that EXPECT_EQ shows well.
std::string fingerprint(const Pipeline&);

// The root of the sources, found upwards from where the test runs.
std::filesystem::path source_root();
std::string content_of(const std::filesystem::path&);

}  // namespace halftone
