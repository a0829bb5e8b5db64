// Reads float32 from its input and writes the codes that the element header rounds them to.
//     cast_dump e4m3fn|e5m2 < floats > codes

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include <halftone/toolbox/float8.hpp>

int main(int argc, char** argv) {
    using namespace halftone::toolbox;
    const std::string_view element = argc == 2 ? argv[1] : "";
    if (element != "e4m3fn" && element != "e5m2") {
        std::fputs("usage: cast_dump e4m3fn|e5m2 < floats > codes\n", stderr);
        return 2;
    }
    std::vector<float> values(65536);
    std::vector<uint8_t> codes(values.size());
    while (const size_t n = std::fread(values.data(), sizeof(float), values.size(), stdin)) {
        for (size_t i = 0; i < n; ++i)
            codes[i] = element == "e5m2" ? E5m2::encode(values[i]) : E4m3fn::encode(values[i]);
        if (std::fwrite(codes.data(), 1, n, stdout) != n) return 1;
    }
    return std::ferror(stdin) || std::fflush(stdout) ? 1 : 0;
}
