#include "core/checkpoint/foreign_format.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/base/error.hpp"
#include "core/base/os/file.hpp"
#include "core/base/text.hpp"

namespace halftone {
namespace {

constexpr std::string_view gguf = "a GGUF file", pickle = "a PyTorch checkpoint", onnx = "an ONNX model";

struct Ending {
    std::string_view text, kind;
};
constexpr std::array<Ending, 12> endings = {{{".gguf", gguf},
                                             {".ggml", "a GGML file"},
                                             {".pt", pickle},
                                             {".pth", pickle},
                                             {".ckpt", pickle},
                                             {".bin", pickle},
                                             {".pkl", "a Python pickle"},
                                             {".onnx", onnx},
                                             {".h5", "an HDF5 file"},
                                             {".msgpack", "a Flax checkpoint"},
                                             {".npz", "a NumPy archive"},
                                             {".tflite", "a TensorFlow Lite model"}}};

// A zip archive is what PyTorch saves; older versions saved a bare pickle.
constexpr std::array<Ending, 5> beginnings = {{{"GGUF", gguf},
                                               {"PK\x03\x04", pickle},
                                               {"\x80\x02", pickle},
                                               {"\x80\x04", pickle},
                                               {"\x89HDF", "an HDF5 file"}}};

}  // namespace

std::string foreign_format(const std::filesystem::path& path) {
    std::string name = os::utf8(path.filename());
    for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const auto found =
        std::ranges::find_if(endings, [&](const Ending& ending) { return name.ends_with(ending.text); });
    return found == endings.end() ? std::string() : std::string(found->kind);
}

std::string foreign_format(const std::filesystem::path& path, std::span<const std::byte> first_bytes) {
    const std::string_view text(reinterpret_cast<const char*>(first_bytes.data()), first_bytes.size());
    for (const Ending& one : beginnings)
        if (text.starts_with(one.text)) return std::string(one.kind);
    return foreign_format(path);
}

void refuse_foreign_name(const std::filesystem::path& output, const std::string& where) {
    const std::string kind = foreign_format(output);
    if (kind.empty()) return;
    std::filesystem::path better = output.filename();
    better.replace_extension(".safetensors");
    throw Error(
        Exit::usage, where,
        fmt::format("the output's name, '{}', is that of {}", text::printable(os::utf8(output.filename())),
                    kind),
        fmt::format("{}; name it '{}', for example", only_safetensors, text::printable(os::utf8(better))));
}

}  // namespace halftone
